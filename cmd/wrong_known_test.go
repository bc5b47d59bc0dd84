// Wrong calls about what is known of samples.

package cmd_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"slices"

	"sigmaz/internal/npy"
)

// furnishKnown adds images, masks, matrices and rows of tables to the world.
func furnishKnown(at func(string) string) error {
	if err := os.MkdirAll(at("known"), 0o777); err != nil {
		return err
	}
	picture := func(w, h, white int) []byte { // white is how many of its columns are
		m := image.NewGray(image.Rect(0, 0, w, h))
		for i := range m.Pix {
			if i%w < white {
				m.SetGray(i%w, i/w, color.Gray{255})
			}
		}
		var b bytes.Buffer
		png.Encode(&b, m)
		return b.Bytes()
	}
	array := func(shape []int, values ...float64) []byte {
		n := 1
		for _, d := range shape {
			n *= d
		}
		values = append(values, make([]float64, n-len(values))...)
		var b bytes.Buffer
		if err := npy.Write(&b, shape, values); err != nil {
			panic(err)
		}
		return b.Bytes()
	}
	for name, b := range map[string][]byte{
		"known/a.png": picture(8, 8, 3), "known/half.png": picture(8, 8, 4), "known/wide.png": picture(12, 8, 6),
		"known/black.png": picture(8, 8, 0), "known/white.png": picture(8, 8, 8), "known/small.png": picture(4, 4, 2),
		"known/three.npy": array([]int{3, 64}, 1), "known/zero.npy": array([]int{3, 64}),
		"known/narrow.npy": array([]int{3, 63}, 1), "known/nan.npy": array([]int{3, 64}, math.NaN()),
		"known/twice.npy": array([]int{2, 2}, 1, 1, 1, 1),
		"known/row2.npy":  array([]int{1, 2}, 1, 2), "known/y3.npy": array([]int{3}, 1, 2, 3), "known/y2.npy": array([]int{2}, 1, 5),
		"known/row.csv": []byte("0.5,\n"), "known/full.csv": []byte("0.5,0.25\n"), "known/blank.csv": []byte(",\n"),
		"known/long.csv": []byte("1,,2\n"), "known/word.csv": []byte("0.5,x\n"), "known/two.csv": []byte("1,2\n2,3\n"),
		"known/masks.npy": array([]int{2, 8, 8}, 1), "known/mask3.npy": array([]int{3, 8, 8, 1}, slices.Repeat([]float64{1, 0}, 96)...),
		"known/y23.npy":   array([]int{2, 3, 1}),
		"known/names.csv": []byte("height,\n0.5,\n"),
	} {
		if err := os.WriteFile(at(name), b, 0o666); err != nil {
			return err
		}
	}
	return nil
}

var wrongKnown = []wrong{
	// flags that do not go together
	{args: "sample runs/images -mask known/half.png", code: 2, offender: "-mask says what is known of an image, and none is given", advice: "give -known FILE"},
	{args: "sample runs/images -upscale 2", code: 2, offender: "-upscale says what is known of an image", advice: "the small image"},
	{args: "sample runs/images -operator known/three.npy", code: 2, offender: "-operator says what is known", advice: "or -measurement y.npy"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -upscale 2", code: 2, offender: "-mask and -upscale both say what is known", advice: "leave one of the two out"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -sampler heun", code: 2, offender: "-sampler is for samples of which nothing is known", advice: "with -method instead"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method repiant", code: 2, offender: `-method is "repiant"`, advice: "did you mean repaint?"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method repaint -T 9", code: 2, offender: "-T is of method langevin, and -method is repaint", advice: "leave one of the two out"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -resample 3", code: 2, offender: "-resample is of method repaint, and the method is langevin", advice: "name it with -method"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -churn 1", code: 2, offender: "-churn has no use where something is known", advice: "leave it out"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -eta 1", code: 2, offender: "-eta is of method pigdm, and the method is langevin", advice: "name it with -method"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method repaint -sigma-data 1", code: 2, offender: "-sigma-data is of method pigdm, and -method is repaint", advice: "leave one of the two out"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method pigdm -sigma-data 0", code: 2, offender: "-sigma-data is 0", advice: "expected the deviation of the data"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method pigdm -nfe 1", code: 2, offender: "-nfe is 1", advice: "expected enough for two noise levels of pigdm, 2 or more"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method pigdm -anyway", code: 1, offender: "-method is pigdm: ncsnv2 does not see sigma", advice: "use -method langevin or repaint"},
	{args: "sample runs/images -sampler pigdm", code: 2, offender: "-sampler is pigdm, which is for samples of which something is known", advice: "expected one of langevin"},
	{args: "sample runs/images -sigma-data 0.3", code: 2, offender: "-sigma-data is for samples of which something is known", advice: "or leave -sigma-data out"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method repaint -resample 0", code: 2, offender: "-resample is 0", advice: "expected between 1 and 1000 times"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -method repaint -nfe 5", code: 2, offender: "-nfe is 5", advice: "expected enough for two noise levels of repaint, 6 or more"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -measurement-sigma -1", code: 2, offender: "-measurement-sigma is -1", advice: "expected 0, no noise, or a positive deviation"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -measurement known/y3.npy", code: 2, offender: "-measurement is of -operator and -fourier", advice: "give one of them"},
	{args: "sample runs/images -known known/a.png -operator known/three.npy -measurement known/y3.npy", code: 2, offender: "-measurement and -known both are what is measured", advice: "leave one of the two out"},
	{args: "sample runs/images -known known/a.png -colourise known/a.png", code: 2, offender: "-colourise names the grey image itself", advice: "leave -known out"},
	{args: "sample runs/images -known known/small.png -upscale 1", code: 2, offender: "-upscale is 1", advice: "expected 2 or more"},
	{args: "sample runs/images -truth known/a.png", code: 2, offender: "-truth is for samples of which something is known", advice: "or leave -truth out"},
	{args: "sample runs/images -method repaint", code: 2, offender: "-method is for samples of which something is known", advice: "give -known with -mask"},
	{args: "sample runs/images -sampler repaint", code: 2, offender: "-sampler is repaint, which is for samples of which something is known", advice: "expected one of langevin"},
	{args: "sample runs/images -known known/a.png", code: 1, offender: "-known is an image, and nothing says what of it is known", advice: "give -mask FILE"},
	{args: "sample runs/images -n 1 -deviation d.png", code: 1, offender: "-n is 1", advice: "expected 2 samples or more"},
	{args: "sample runs/images -mean m.jpg -o m.jpg", code: 2, offender: "-o is m.jpg", advice: "a file name that ends in .png"},
	// images to begin at
	{args: "sample runs/images -denoise-image known/a.png -from known/a.png", code: 2, offender: "-denoise-image and -from both are the image to begin at", advice: "leave one of the two out"},
	{args: "sample runs/images -from known/a.png -level 1 -known known/a.png -mask known/half.png", code: 2, offender: "-from gives samples to begin at", advice: "leave one of the two out"},
	{args: "sample runs/images -sigma 1", code: 2, offender: "-sigma is the noise of -denoise-image", advice: "give that image"},
	{args: "sample runs/images -denoise-image known/a.png", code: 2, offender: "-sigma is 0", advice: "expected the deviation of the noise"},
	{args: "sample runs/images -denoise-image known/a.png -sigma 1 -n 4", code: 2, offender: "-n is of drawn samples, and -denoise-image draws none", advice: "leave one of the two out"},
	{args: "sample runs/images -denoise-image known/a.png -sigma 1000", code: 1, offender: "-sigma is 1000", advice: "expected noise of the run's ladder"},
	{args: "sample runs/images -denoise-image known/wide.png -sigma 1", code: 1, offender: "-denoise-image known/wide.png is an image of 8x12", advice: "expected 8x8"},
	{args: "sample runs/images -from known/a.png", code: 2, offender: "-from is the image to begin at and -level the noise level", advice: "give both"},
	{args: "sample runs/images -from known/a.png -level 3", code: 1, offender: "-level is 3", advice: "expected 0 to 2, one of the run's 3 levels"},
	{args: "sample runs/images -from known/a.png -level 2", code: 1, offender: "-level is the last", advice: "use -denoise-image"},
	{args: "sample runs/toy -from known/a.png -level 1", code: 1, offender: "-from: the samples are vectors", advice: "leave it out"},
	// frames between two samples
	{args: "sample runs/images -interpolate 3", code: 2, offender: `-interpolate is "3"`, advice: "expected the numbers of two samples"},
	{args: "sample runs/images -interpolate 0:-1", code: 2, offender: `-interpolate is "0:-1"`, advice: "expected the numbers of two samples"},
	{args: "sample runs/images -interpolate 0:3000000000", code: 2, offender: `-interpolate is "0:3000000000"`, advice: "expected the numbers of two samples"},
	{args: "sample runs/images -interpolate 2:2", code: 2, offender: `-interpolate is "2:2", which is one sample`, advice: "expected the numbers of two"},
	{args: "sample runs/images -interpolate 0:1 -frames 1", code: 2, offender: "-frames is 1", advice: "expected 2, both samples themselves, to 400"},
	{args: "sample runs/images -interpolate 0:1 -frames 401", code: 2, offender: "-frames is 401", advice: "to 400"},
	{args: "sample runs/images -interpolate 0:1 -n 3", code: 2, offender: "-n is how many samples are drawn", advice: "give -frames N instead"},
	{args: "sample runs/images -interpolate 0:1 -known known/a.png -mask known/half.png", code: 2, offender: "-interpolate goes from one sample to another, and something is known", advice: "leave one of the two out"},
	{args: "sample runs/images -interpolate 0:1 -from known/a.png -level 1", code: 2, offender: "-from gives an image to begin at, and -interpolate two samples", advice: "leave one of the two out"},
	{args: "sample runs/images -interpolate 0:1 -denoise-image known/a.png -sigma 1", code: 2, offender: "-denoise-image gives an image to begin at", advice: "leave one of the two out"},
	{args: "sample runs/images -frames 3", code: 2, offender: "-frames is of frames between two samples", advice: "give -interpolate A:B"},
	{args: "sample runs/images -same-noise", code: 2, offender: "-same-noise is of frames between two samples", advice: "give -interpolate A:B"},
	{args: "sample runs/images -interpolate 0:1 -sampler heun", code: 1, offender: "-sampler is heun: ncsnv2 does not see sigma", advice: "use -sampler dpm++-2m-sde"},
	{args: "sample runs/toy -interpolate 0:1 -gif g.gif", code: 1, offender: "-gif with -interpolate", advice: "leave it out"},
	// images and masks
	{args: "sample runs/images -known known/gone.png -mask known/half.png", code: 1, offender: "known/gone.png", advice: "cannot read the image"},
	{args: "sample runs/images -known known/wide.png -mask known/half.png", code: 1, offender: "-known known/wide.png is an image of 8x12", advice: "expected 8x8, the size of the samples"},
	{args: "sample runs/images -known known/a.png -mask known/wide.png", code: 1, offender: "-mask known/wide.png is 8x12", advice: "expected 8x8"},
	{args: "sample runs/images -known known/a.png -mask known/black.png", code: 1, offender: "-mask known/black.png is all black", advice: "expected white where something is known"},
	{args: "sample runs/images -known known/a.png -mask known/white.png", code: 1, offender: "-mask known/white.png is all white", advice: "expected black where samples may differ"},
	{args: "sample runs/images -known bad/text.txt -mask known/half.png", code: 1, offender: "bad/text.txt", advice: "expected"},
	{args: "sample runs/images -from data/tiny-images-idx3-ubyte -level 1", code: 1, offender: "16 images", advice: "expected a single image"},
	{args: "sample runs/images -known data/tiny-images-idx3-ubyte -mask known/mask3.npy", code: 1, offender: "-mask known/mask3.npy holds 3 masks, and -known data/tiny-images-idx3-ubyte 16 images", advice: "expected one mask, or one for each image"},
	{args: "sample runs/images -known known/a.png -mask known/masks.npy", code: 1, offender: "-mask known/masks.npy (mask 1) is all black", advice: "expected white where something is known"},
	{args: "sample runs/images -known known/a.png -mask known/mask3.npy -truth data/tiny-images-idx3-ubyte", code: 1, offender: "-truth data/tiny-images-idx3-ubyte holds 16 images, and 3 images known in part", advice: "expected one, or one for each"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -truth data/tiny-images-idx3-ubyte", code: 1, offender: "-truth data/tiny-images-idx3-ubyte holds 16 images, and 1 image known in part", advice: "expected one, or one for each"},
	{args: "sample runs/images -known known/a.png -mask known/mask3.npy -mean m.png", code: 1, offender: "-n is 3", advice: "expected 2 samples of each of the 3 images or more, 6"},
	{args: "sample runs/images -fourier known/mask3.npy -known known/a.png", code: 1, offender: "-fourier known/mask3.npy holds 3 pictures", advice: "expected one"},
	{args: "sample runs/images -operator known/three.npy -measurement known/y23.npy", code: 1, offender: "-measurement known/y23.npy has the shape (2, 3, 1)", advice: "or (N, 3)"},
	{args: "sample runs/images -known known/three.npy -mask known/half.png", code: 1, offender: "-known known/three.npy is", advice: "expected 8x8"},
	{args: "sample runs/images -known known/y3.npy -mask known/half.png", code: 1, offender: "-known known/y3.npy is an array of shape (3,)", advice: "expected (H, W, 1)"},
	{args: "sample runs/images -colourise known/a.png", code: 1, offender: "the samples are grey and have no colours to draw", advice: "take a run of colour images"},
	{args: "sample runs/images -known known/a.png -upscale 3", code: 1, offender: "-upscale is 3", advice: "expected a number that divides both sides of the samples, 8x8"},
	{args: "sample runs/images -known known/small.png -upscale 4", code: 1, offender: "-known known/small.png is 4x4", advice: "expected 2x2, or 8x8"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -truth known/small.png", code: 1, offender: "-truth known/small.png is an image of 4x4", advice: "expected 8x8"},
	{args: "sample runs/images -known known/a.png -mask known/half.png -n 2 -mean known/a.png", code: 2, offender: "-mean is known/a.png, which is a file that is read", advice: "choose another"},
	// matrices
	{args: "sample runs/images -operator known/narrow.npy -measurement known/y3.npy", code: 1, offender: "-operator known/narrow.npy has the shape (3, 63)", advice: "expected (M, 64)"},
	{args: "sample runs/images -operator known/three.npy -measurement known/y2.npy", code: 1, offender: "-measurement known/y2.npy has the shape (2,)", advice: "expected (3,)"},
	{args: "sample runs/images -operator known/nan.npy -measurement known/y3.npy", code: 1, offender: "-operator known/nan.npy holds NaN as value 0", advice: "expected finite numbers"},
	{args: "sample runs/images -operator known/zero.npy -measurement known/y3.npy -measurement-sigma 1", code: 1, offender: "known/zero.npy says nothing about the samples", advice: "expected a matrix with values other than 0"},
	{args: "sample runs/toy -operator known/twice.npy -measurement known/y2.npy", code: 1, offender: "known/twice.npy cannot give what was measured", advice: "say how much noise it holds"},
	{args: "sample runs/images -fourier known/half.png -measurement known/y3.npy", code: 1, offender: "-measurement known/y3.npy has the shape (3,)", advice: "expected (8, 8, 2)"},
	// tables
	{args: "sample runs/toy -known known/a.png -mask known/half.png", code: 1, offender: "-mask is for images, and the samples are vectors", advice: "use -known ROW.csv"},
	{args: "sample runs/toy -known known/full.csv", code: 1, offender: "known/full.csv has a value for each of the 2 columns", advice: "leave blank"},
	{args: "sample runs/toy -known known/blank.csv", code: 1, offender: "known/blank.csv is all blank", advice: "expected a value for one column or more"},
	{args: "sample runs/toy -known known/long.csv", code: 1, offender: "known/long.csv has 3 values", advice: "expected 2"},
	{args: "sample runs/toy -known known/word.csv", code: 1, offender: "known/word.csv in column 2", advice: `expected a number, found "x"`},
	{args: "sample runs/toy -known known/two.csv", code: 1, offender: "known/two.csv has a value for each of the 2 columns", advice: "leave blank what samples may differ in"},
	{args: "sample runs/toy -known known/names.csv", code: 1, offender: `known/names.csv names the column "height"`, advice: "expected some of those of the run"},
	{args: "sample runs/toy -known known/row.csv -truth known/a.png", code: 1, offender: "-truth: vectors have no picture", advice: "leave it out"},
}
