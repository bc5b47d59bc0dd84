// Wrong calls about classes.

package cmd_test

import "os"

// furnishClasses adds tables and images with labels to the world.
func furnishClasses(at func(string) string) error {
	if err := os.MkdirAll(at("classes"), 0o777); err != nil {
		return err
	}
	images := append([]byte{0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4}, make([]byte, 64)...)
	for name, b := range map[string][]byte{
		"classes/pets.csv":             []byte("height,weight,kind\n1,2,cat\n2,3,dog\n1.5,2,cat\n2.5,4,dog\n1,1,cat\n3,3,dog\n"),
		"classes/others.csv":           []byte("height,weight,kind\n1,2,cat\n2,3,cow\n1.5,2,cat\n2.5,4,cow\n"),
		"classes/plain.csv":            []byte("height,weight\n1,2\n2,3\n3,5\n4,4\n"),
		"classes/images-idx3-ubyte":    images,
		"classes/wrong-images-idx3":    images,
		"classes/wrong-labels-idx1":    {0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 0},
		"classes/unlabelled-idx3":      images,
		"classes/one-images-idx3":      images,
		"classes/one-labels-idx1":      {0, 0, 8, 1, 0, 0, 0, 4, 5, 5, 5, 5},
		"classes/cut-images-idx3":      images,
		"classes/cut-labels-idx1":      {0, 0, 8, 1, 0, 0, 0, 4, 5, 5},
		"classes/kind.yaml":            []byte("reading:\n  classes: perhaps\n"),
		"classes/dropout.yaml":         []byte("label_dropout: 2\nreading:\n  classes: true\n"),
		"classes/without-classes.yaml": []byte("label_dropout: 0.1\n"),
	} {
		if err := os.WriteFile(at(name), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

var wrongClasses = []wrong{
	// data without labels, or with wrong ones
	{args: "train -data classes/images-idx3-ubyte -classes -net ncsnpp", code: 1, offender: "classes/images-idx3-ubyte", advice: "expected its labels in labels-idx1-ubyte beside it"},
	{args: "train -data classes/wrong-images-idx3 -classes -net ncsnpp", code: 1, offender: "classes/wrong-labels-idx1", advice: "expected a label for each of the 4 images"},
	{args: "train -data classes/unlabelled-idx3 -classes -net ncsnpp", code: 1, offender: "classes/unlabelled-idx3", advice: "copy it there, or leave -classes out"},
	{args: "train -data classes/one-images-idx3 -classes -net ncsnpp", code: 1, offender: "all of class 5", advice: "leave -classes and -label out"},
	{args: "train -data classes/cut-images-idx3 -classes -net ncsnpp", code: 1, offender: "classes/cut-labels-idx1", advice: "copy or download it again"},
	{args: "train -preset toy -data toy:swissroll -classes", code: 1, offender: "-classes is for data with labels", advice: "leave it out"},
	{args: "train -preset toy -data classes/pets.csv -classes", code: 1, offender: "classes/pets.csv is a table", advice: "name it with -label COLUMN"},
	{args: "train -preset toy -data classes/pets.csv -label kin", code: 1, offender: `-label names column "kin"`, advice: "its header has no such name (height, weight, kind)"},
	{args: "train -preset toy -data classes/pets.csv -label 4", code: 1, offender: "-label names column 4", advice: "columns 1 to 3"},
	{args: "train -preset toy -data classes/pets.csv -label kind -columns height,kind", code: 1, offender: "-label is column kind", advice: "expected others in -columns"},
	{args: "train -preset toy -data classes/plain.csv -label weight", code: 1, offender: "classes/plain.csv: expected labels that repeat", advice: "give the classes of the rows"},
	// networks and settings of training
	{args: "train -classes", code: 2, offender: "-classes is for networks that are told the class of a row, and ncsnv2 is none", advice: "use -net ncsnpp"},
	{args: "train -preset toy -data toy:moons -label-dropout 0.1", code: 2, offender: "-label-dropout is for runs whose network is told classes", advice: "give -classes"},
	{args: "train -preset toy -data toy:moons -classes -label-dropout 1", code: 2, offender: "-label-dropout is 1", advice: "from 0 to below 1"},
	{args: "train -preset toy -data toy:moons -classes -label-dropout -0.1", code: 2, offender: "-label-dropout is -0.1", advice: "from 0 to below 1"},
	{args: "train -preset toy -data toy:moons -classes -label-dropout x", code: 2, offender: `-label-dropout is "x"`, advice: "expected a number"},
	{args: "train -config classes/kind.yaml", code: 1, offender: "classes/kind.yaml", advice: "expected"},
	{args: "train -config classes/dropout.yaml -preset toy -data toy:moons", code: 1, offender: "label-dropout is 2", advice: "from 0 to below 1"},
	{args: "train -config classes/without-classes.yaml -preset toy -data toy:moons", code: 1, offender: "label-dropout is for runs", advice: "classes"},
	{args: "train -init runs/toy/checkpoints/step-0000004.safetensors -preset toy -data toy:moons -classes", code: 1, offender: "-classes needs a network that is told them from its first step", advice: "leave it out"},
	{args: "train -init runs/pets/checkpoints/step-0000004.safetensors -preset toy -data toy:moons -classes", code: 1, offender: "-classes of the data are 2 (0 to 1), and the network that the run starts from is told 2 (cat to dog)", advice: "give data of these classes"},
	{args: "train -resume runs/pets -label-dropout 0.3", code: 2, offender: "-label-dropout", advice: "new run"},
	// classes of samples
	{args: "sample runs/toy -class 1", code: 1, offender: "-class is for networks that are told classes", advice: "leave it out, or train with -classes"},
	{args: "sample runs/toy -guidance 2", code: 1, offender: "-guidance is by the class of a sample", advice: "leave it out, or train with -classes"},
	{args: "sample runs/pets -class 2", code: 1, offender: `-class is "2"`, advice: "a number from 0 to 1"},
	{args: "sample runs/pets -class catt", code: 1, offender: `-class is "catt"`, advice: "did you mean cat?"},
	{args: "sample runs/pets -class cat,cow", code: 1, offender: `-class is "cow"`, advice: "expected one of the classes"},
	{args: "sample runs/told -class 2", code: 1, offender: `-class is "2"`, advice: "(0, 1), or all or none"},
	{args: `sample runs/pets -class "cat`, code: 2, offender: "-class is", advice: "expected names of classes"},
	{args: "sample runs/told -class none", code: 1, offender: "left no label out in training", advice: "train with -label-dropout 0.1"},
	{args: "sample runs/told -guidance 2", code: 1, offender: "left no label out in training", advice: "train with -label-dropout 0.1"},
	{args: "sample runs/pets -class none -guidance 2", code: 1, offender: "-class is none", advice: "name classes"},
	{args: "sample runs/pets -interpolate 0:2", code: 2, offender: "-interpolate goes between two samples of one class", advice: "name one with -class"},
	{args: "sample runs/pets -guidance -1", code: 2, offender: "-guidance is -1", advice: "expected a weight from 0"},
	{args: "sample runs/pets -guidance two", code: 2, offender: `-guidance is "two"`, advice: "expected a number"},
	{args: "sample runs/pets -guidance 2 -guidance-interval 5:0.3", code: 2, offender: "-guidance-interval is 5:0.3", advice: "LO < HI"},
	{args: "sample runs/pets -guidance 2 -guidance-interval 5", code: 2, offender: `-guidance-interval is "5"`, advice: "expected LO:HI"},
	{args: "sample runs/pets -guidance 2 -guidance-interval a:b", code: 2, offender: `-guidance-interval is "a:b"`, advice: "expected LO:HI"},
	{args: "sample runs/pets -guidance-interval 0.3:5", code: 2, offender: "-guidance-interval says where -guidance counts", advice: "give -guidance W"},
	// scores and likelihoods
	{args: "score runs/told -input x.npy -o y.npy -level 0", code: 1, offender: "x.npy", advice: "no such file"},
	{args: "score runs/pets -input known/row2.npy -o y.npy -level 0 -class cow", code: 1, offender: `-class is "cow"`, advice: "expected one of the classes"},
	{args: "score runs/pets -input known/row2.npy -o y.npy -level 0 -class all", code: 1, offender: `-class is "all"`, advice: "a number from 0 to 1, or none"},
	{args: "score runs/pets -input known/row2.npy -o y.npy -level 0 -class cat,dog", code: 2, offender: `-class is "cat,dog"`,
		advice: "expected one class for all rows"},
	{args: "score runs/told -input known/row2.npy -o y.npy -level 0", code: 1, offender: "left no label out in training", advice: "-label-dropout 0.1"},
	{args: "score runs/toy -input known/row2.npy -o y.npy -level 0 -class 1", code: 1, offender: "-class is for networks that are told classes", advice: "leave it out"},
	{args: "likelihood runs/pets classes/others.csv", code: 1, offender: "row 1 is of class cow", advice: "give rows of its classes"},
	{args: "likelihood runs/pets classes/plain.csv", code: 1, offender: `label names column "kind"`, advice: "give data of the same format"},
}
