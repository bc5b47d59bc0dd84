// All operations, in one table, and what a few of them do without.

package kernels

// Precision is what a network computes in and keeps its activations in.
type Precision string

const (
	Float32 Precision = "float32" // all in float32: that of every operation, and of one that names none
	// TF32 is of convolutions on tensor cores, see conv_tensor.go. Memory is float32. The CPU has none.
	TF32 Precision = "tf32"
	// BF16 is of operations some of whose windows are [BFloat16]: convolutions on tensor cores, and what is between
	// them. All computing but the products of the convolutions is float32. The CPU has none.
	BF16 Precision = "bf16"
)

// Precisions lists them.
var Precisions = []Precision{Float32, TF32, BF16}

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
	switch op.(type) {
	case HostFunc, Discard: // of the host, or of nobody, whatever their windows hold
		return Float32
	}
	reads, writes := op.Operands()
	for _, b := range append(reads, writes...) {
		if b.Element == BFloat16 {
			return BF16
		}
	}
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
	{Conv{}, []Precision{Float32, TF32, BF16}},
	{ConvGradInput{}, []Precision{Float32, TF32, BF16}},
	{ConvGradWeight{}, []Precision{Float32, TF32, BF16}},
	{Norm{}, stored},
	{NormGrad{}, stored},
	{GroupNorm{}, stored},
	{GroupNormGrad{}, stored},
	{AttentionScores{}, stored},
	{AttentionMix{}, stored},
	{Softmax{}, float32Only},
	{SoftmaxGrad{}, float32Only},
	{FIR{}, stored},
	{Activate{F: ELU}, stored},
	{Activate{F: ReLU}, stored},
	{Activate{F: LReLU}, stored},
	{Activate{F: Swish}, stored},
	{Activate{F: Softplus}, stored},
	{ActivateGrad{F: ELU}, stored},
	{ActivateGrad{F: ReLU}, stored},
	{ActivateGrad{F: LReLU}, stored},
	{ActivateGrad{F: Swish}, stored},
	{ActivateGrad{F: Softplus}, stored},
	{MaxPool5{}, stored},
	{MaxPool5Grad{}, stored},
	{AvgPool5{}, stored},
	{MeanPool2{}, stored},
	{MeanPool2Grad{}, stored},
	{Resize{}, stored},
	{ResizeGrad{}, stored},
	{Nearest2{}, stored},
	{Nearest2Grad{}, stored},
	{Patches{}, stored},
	{PatchesGrad{}, stored},
	{Concat{}, stored},
	{Split{}, stored},
	{AddRow{}, stored},
	{AddRowGrad{}, stored},
	{Dropout{}, stored},
	{Embedding{}, float32Only},
	{Lookup{}, float32Only},
	{LookupGrad{}, float32Only},
	{Add{}, stored},
	{ScaledSum{}, stored},
	{Affine{}, float32Only},
	{DivSigma{}, float32Only},
	{MLPInput{}, float32Only},
	{MLPInputGrad{}, float32Only},
	{Precondition{}, float32Only},
	{RowMix{}, float32Only},
	// training
	{Perturb{}, float32Only},
	{DrawClasses{}, float32Only},
	{Loss{}, float32Only},
	{LossGrad{}, float32Only},
	{Record{}, float32Only},
	{TreeMean{}, float32Only},
	{GradNorm{}, float32Only},
	{Adam{}, float32Only},
	// sampling
	{SamplerSigma{}, float32Only},
	{SamplerGain{}, float32Only},
	{SamplerUpdate{}, float32Only},
	{SamplerMisfit{}, float32Only},
	{SamplerFit{}, float32Only},
	{SamplerGuide{}, float32Only},
	{Twin{}, float32Only},
	{Guide{}, float32Only},
	{ODEPoint{}, float32Only},
	{ODESlope{}, float32Only},
	{ODENorm{}, float32Only},
	{ODEAccept{}, float32Only},
	// data
	{PairExtremes{}, float32Only},
	// both
	{Fill{}, float32Only},
	{Narrow{}, []Precision{BF16}},
	{Tick{}, float32Only},
	{Discard{}, float32Only},
	{HostFunc{Label: "host_func"}, float32Only},
}

var (
	float32Only = []Precision{Float32}
	stored      = []Precision{Float32, BF16} // of activations that a network may keep in bf16
)

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
	{CPULowering, "less than 1 % of a step: the reference will do", []string{"mlp_input", "mlp_input_grad",
		"embedding", "precondition", "record", "fill", "tick"}},
	{Gradient, "its gradient is dy itself: there is nothing to compute", []string{"add"}},
	{Gradient, "comes before all parameters: nobody asks for its gradient", []string{"perturb", "draw_classes", "embedding", "precondition"}},
	{Gradient, "only the optimiser runs it", []string{"tree_mean", "grad_norm", "adam"}},
	{Gradient, "only sampling runs it", []string{
		"sampler_sigma", "sampler_gain", "sampler_update", "sampler_misfit", "sampler_fit", "sampler_guide",
		"ode_point", "ode_slope", "ode_norm", "ode_accept", "twin", "guide"}},
	{Gradient, "looks at data, which nobody trains", []string{"pair_extremes"}},
	{CPULowering, "only a GPU runs it: on the CPU package dataset searches otherwise", []string{"pair_extremes"}},
	{Gradient, "sets or keeps numbers beside the network", []string{"record", "fill", "tick"}},
	{CPULowering, "the CPU computes in float32 only", []string{"narrow"}},
	{Gradient, "its gradient is dy itself: there is nothing to compute", []string{"narrow"}},
	{CPULowering, "does nothing", []string{"discard"}},
	{CUDALaunch, "does nothing", []string{"discard"}},
	{Cases, "does nothing", []string{"discard"}},
	{Gradient, "does nothing", []string{"discard"}},
	{CPULowering, "a function of the caller", []string{"host_func"}},
	{CUDALaunch, "a function of the caller, in Go", []string{"host_func"}},
	{Cases, "a function of the caller", []string{"host_func"}},
	{Gradient, "a function of the caller", []string{"host_func"}},
}
