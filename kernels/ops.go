// All operations, in one table, and what a few of them do without.

package kernels

// Precision is a number format that an operation computes in. Its operands are float32 in memory all the same.
type Precision string

const (
	Float32 Precision = "float32" // that of every operation, and of one that names none
	TF32    Precision = "tf32"    // of convolutions on tensor cores, see conv_tensor.go; the CPU has none
)

// Precisions lists them.
var Precisions = []Precision{Float32, TF32}

// PrecisionNames lists their words.
func PrecisionNames() (names []string) {
	for _, p := range Precisions {
		names = append(names, string(p))
	}
	return names
}

// preciser is an operation that has a choice.
type preciser interface{ precision() Precision }

// precisionOf returns the precision of an operation.
func precisionOf(op Op) Precision {
	if p, ok := op.(preciser); ok && p.precision() != "" {
		return p.precision()
	}
	return Float32
}

// Operation is a row of [Operations].
type Operation struct {
	Op         Op // only its type and its name count
	Precisions []Precision
}

// Operations lists every operation. Each must have every [Part], but for the [Exceptions]; a test holds it to that.
var Operations = []Operation{
	// layers and their gradients
	{Conv{}, Precisions},
	{ConvGradInput{}, Precisions},
	{ConvGradWeight{}, Precisions},
	{Norm{}, float32Only},
	{NormGrad{}, float32Only},
	{Activate{F: ELU}, float32Only},
	{Activate{F: ReLU}, float32Only},
	{Activate{F: LReLU}, float32Only},
	{Activate{F: Swish}, float32Only},
	{Activate{F: Softplus}, float32Only},
	{ActivateGrad{F: ELU}, float32Only},
	{ActivateGrad{F: ReLU}, float32Only},
	{ActivateGrad{F: LReLU}, float32Only},
	{ActivateGrad{F: Swish}, float32Only},
	{ActivateGrad{F: Softplus}, float32Only},
	{MaxPool5{}, float32Only},
	{MaxPool5Grad{}, float32Only},
	{AvgPool5{}, float32Only},
	{MeanPool2{}, float32Only},
	{MeanPool2Grad{}, float32Only},
	{Resize{}, float32Only},
	{ResizeGrad{}, float32Only},
	{Add{}, float32Only},
	{Affine{}, float32Only},
	{DivSigma{}, float32Only},
	{MLPInput{}, float32Only},
	// training
	{Perturb{}, float32Only},
	{Loss{}, float32Only},
	{LossGrad{}, float32Only},
	{Record{}, float32Only},
	{Adam{}, float32Only},
	// sampling
	{SetSigma{}, float32Only},
	{Langevin{}, float32Only},
	{Denoise{}, float32Only},
	{SamplerSigma{}, float32Only},
	{SamplerGain{}, float32Only},
	{SamplerUpdate{}, float32Only},
	// both
	{Fill{}, float32Only},
	{Tick{}, float32Only},
	{HostFunc{Label: "host_func"}, float32Only},
}

var float32Only = []Precision{Float32}

// Part is what an operation of X.go has beside its contract and its reference.
type Part string

const (
	CPULowering Part = "method lower in X_cpu.go"
	CUDALaunch  Part = "method launch in X_cuda.go, for the kernels of X.cu"
	Cases       Part = "cases in package kerneltest, for each precision"
	Gradient    Part = "check in gradient_test.go, as an operation or as the gradient of one"
)

// Exception names operations that lack a part, and says why.
type Exception struct {
	Lacks      Part
	Reason     string
	Operations []string
}

// Exceptions lists all of them. One that is not needed any more must go.
var Exceptions = []Exception{
	{CPULowering, "less than 1 % of a step: the reference will do", []string{"mlp_input", "record", "fill", "tick"}},
	{Gradient, "its gradient is dy itself: there is nothing to compute", []string{"add"}},
	{Gradient, "comes before all parameters: nobody asks for its gradient", []string{"perturb", "mlp_input"}},
	{Gradient, "only the optimiser runs it", []string{"adam"}},
	{Gradient, "only sampling runs it", []string{
		"set_sigma", "langevin", "denoise", "sampler_sigma", "sampler_gain", "sampler_update"}},
	{Gradient, "sets or keeps numbers beside the network", []string{"record", "fill", "tick"}},
	{CPULowering, "a function of the caller", []string{"host_func"}},
	{CUDALaunch, "a function of the caller, in Go", []string{"host_func"}},
	{Cases, "a function of the caller", []string{"host_func"}},
	{Gradient, "a function of the caller", []string{"host_func"}},
}
