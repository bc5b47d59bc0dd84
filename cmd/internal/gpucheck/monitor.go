//go:build linux

// The card while the parts run: nvidia-smi every five seconds, as a table (nvidia-smi.csv) and in short.

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// every is the time between two samples.
const every = 5 * time.Second

// monitor collects samples.
type monitor struct {
	start time.Time
	quit  chan struct{} // nil: it never ran
	done  chan struct{}

	mu      sync.Mutex
	current string // part
	samples []sample
	failed  string // why there are no more
}

// sample is what nvidia-smi says at one moment. NaN-like answers ("[N/A]") are 0.
type sample struct {
	seconds                   int
	part                      string
	sm, memory                float64 // MHz
	watt, celsius, busy, used float64 // %, MiB
	reasons                   uint64  // why the clock is not the highest
}

// What is asked, in the order of the fields. The reasons have had two names.
const sampled = "clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu,memory.used"

var reasonNames = []string{"clocks_event_reasons.active", "clocks_throttle_reasons.active"}

// reasons are the bits of nvidia-smi's reasons that slow a busy card down; the rest is its being idle, and settings.
var reasons = []struct {
	bit  uint64
	name string
}{
	{0x4, "power cap"}, {0x8, "hardware slowdown"}, {0x10, "sync boost"}, {0x20, "thermal slowdown by software"},
	{0x40, "thermal slowdown by hardware"}, {0x80, "power brake"}, {0x2, "application clocks"}, {0x100, "display clocks"},
}

func (m *monitor) part(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = name
}

// watch begins to take samples.
func (m *monitor) watch(c *check, smi string) {
	m.quit, m.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(m.done)
		query := sampled
		for _, name := range reasonNames {
			if _, err := c.ask(context.Background(), 10, smi, "-i", "0", "--query-gpu="+sampled+","+name,
				"--format=csv,noheader,nounits"); err == nil {
				query += "," + name
				break
			}
		}
		for {
			text, err := c.ask(context.Background(), 4, smi, "-i", "0", "--query-gpu="+query, "--format=csv,noheader,nounits")
			m.add(text, err)
			select {
			case <-m.quit:
				return
			case <-time.After(every):
			}
		}
	}()
}

func (m *monitor) stop() {
	if m.quit != nil {
		close(m.quit)
		<-m.done
	}
}

// add keeps one answer.
func (m *monitor) add(text string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fields := strings.Split(text, ", ")
	if err != nil || len(fields) < 6 {
		m.failed = fmt.Sprintf("%v: %s", err, fit(text, 80))
		return
	}
	number := func(i int) float64 {
		v, _ := strconv.ParseFloat(strings.TrimSpace(fields[i]), 64)
		return v
	}
	s := sample{seconds: int(time.Since(m.start).Seconds()), part: m.current, sm: number(0), memory: number(1),
		watt: number(2), celsius: number(3), busy: number(4), used: number(5)}
	if len(fields) > 6 {
		s.reasons, _ = strconv.ParseUint(strings.TrimSpace(fields[6]), 0, 64)
	}
	m.samples = append(m.samples, s)
}

// summary is the samples in short.
type summary struct {
	Samples int
	Busy    int            // of them, those in which the card worked
	SM      [3]float64     // MHz while it did: lowest, median, highest
	Watt    [3]float64     // likewise
	Memory  float64        // MHz, the highest
	Celsius float64        // the highest
	UsedMiB float64        // the most
	Reasons map[string]int `json:",omitempty"` // why the clock was not the highest, in how many busy samples
	Failed  string         `json:",omitempty"` // the last error of nvidia-smi
}

// result makes the table, of at most so many bytes, and its summary; nil where there are no samples.
func (m *monitor) result(room int64) ([]byte, *summary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.samples) == 0 && m.failed == "" {
		return nil, nil
	}
	var table string
	for step := 1; ; step *= 2 { // fewer samples where they are too many
		var b strings.Builder
		b.WriteString("seconds,part,sm_mhz,memory_mhz,watt,celsius,busy_percent,used_mib,reasons\n")
		for i := 0; i < len(m.samples); i += step {
			s := m.samples[i]
			fmt.Fprintf(&b, "%d,%s,%g,%g,%g,%g,%g,%g,%#x\n", s.seconds, s.part, s.sm, s.memory, s.watt, s.celsius,
				s.busy, s.used, s.reasons)
		}
		if table = b.String(); int64(len(table)) <= room || step > len(m.samples) {
			break
		}
	}
	sum := &summary{Samples: len(m.samples), Reasons: map[string]int{}, Failed: m.failed}
	var sm, watt []float64
	for _, s := range m.samples {
		sum.Memory, sum.Celsius = max(sum.Memory, s.memory), max(sum.Celsius, s.celsius)
		sum.UsedMiB = max(sum.UsedMiB, s.used)
		if s.busy < 10 {
			continue
		}
		sm, watt = append(sm, s.sm), append(watt, s.watt)
		for _, r := range reasons {
			if s.reasons&r.bit != 0 {
				sum.Reasons[r.name]++
			}
		}
	}
	sum.Busy = len(sm)
	sum.SM, sum.Watt = spread(sm), spread(watt)
	return []byte(table), sum
}

// spread returns the lowest, the median and the highest of values, zeros for none.
func spread(values []float64) (s [3]float64) {
	if len(values) == 0 {
		return s
	}
	values = slices.Sorted(slices.Values(values))
	return [3]float64{values[0], values[len(values)/2], values[len(values)-1]}
}

func (s *summary) text() string {
	text := fmt.Sprintf("%d samples, %d of them of a busy card\n", s.Samples, s.Busy)
	if s.Busy > 0 {
		text += fmt.Sprintf("clock %.0f MHz (%.0f to %.0f), memory's %.0f MHz; power %.0f W (%.0f to %.0f)\n",
			s.SM[1], s.SM[0], s.SM[2], s.Memory, s.Watt[1], s.Watt[0], s.Watt[2])
	}
	text += fmt.Sprintf("at most %.0f degrees, %.0f MiB in use\n", s.Celsius, s.UsedMiB)
	for _, name := range slices.Sorted(maps.Keys(s.Reasons)) {
		text += fmt.Sprintf("held back by %s in %d samples\n", name, s.Reasons[name])
	}
	if s.Failed != "" {
		text += "nvidia-smi failed: " + s.Failed + "\n"
	}
	return text
}
