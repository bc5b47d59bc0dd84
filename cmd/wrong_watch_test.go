// What people get wrong about watching a training.

package cmd_test

import "net"

// taken is an address at which somebody listens already, as long as the tests run.
var taken = func() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l
}()

var wrongWatch = []wrong{
	{args: "train -listen " + taken.Addr().String(), code: 1, offender: "-listen 127.0.0.1:",
		advice: "choose another port, or port 0"},
	{args: "train -resume runs/toy -steps 9 -listen " + taken.Addr().String(), code: 1, offender: "another program listens there",
		advice: "choose another port"},
	{args: "train -listen 203.0.113.7:8787", code: 1, offender: "does not have the address 203.0.113.7",
		advice: "such as 127.0.0.1:8787"},
	{args: "train -listen no.invalid:8787", code: 1, offender: "the name no.invalid", advice: "such as 127.0.0.1:8787"},
	{args: "train -listen localhost", code: 2, offender: `-listen is "localhost"`, advice: "the port is missing; expected HOST:PORT"},
	{args: "train -listen 127.0.0.1:87878", code: 2, offender: `-listen is "127.0.0.1:87878"`, advice: "a number from 0 to 65535"},
	{args: "train -listen ::1:8787", code: 2, offender: `-listen is "::1:8787"`, advice: "[::1]:8787"},
	{args: "train -listen http://localhost:8787/", code: 2, offender: "http://localhost:8787/", advice: "expected HOST:PORT"},
	{args: "train -listen", code: 2, offender: "-listen needs a value", advice: "-listen HOST:PORT"},
	{args: "train -listen -report", code: 2, offender: "-listen needs a value", advice: "-report is another flag"},
	{args: "train -tensorboard runs", code: 2, offender: `"runs"`, advice: "did you mean -runs?"},
	{args: "train -tensorbord", code: 2, offender: "-tensorbord", advice: "-tensorboard?"},
	{args: "train -report=perhaps", code: 2, offender: "-report", advice: "expected true or false"},
	{args: "sample runs/toy -tensorboard", code: 2, offender: "unknown flag -tensorboard", advice: "-h lists the flags"},
}
