package ptx

import (
	"slices"
	"strings"
	"testing"
)

func TestEntries(t *testing.T) {
	got, err := Entries([]byte(`.version 7.8
.visible .entry affine(
	.param .u64 affine_param_0,
	.param .f32 affine_param_1,
	.param .u32 affine_param_2
)
.maxntid 256, 1, 1
{
	ld.param.u64 	%rd7, [affine_param_0];
	ret;
}
.func  (.param .b64 func_retval0) __internal_accurate_pow(
	.param .b64 __internal_accurate_pow_param_0
)
;
.visible .entry nothing()
{
	ret;
}
`))
	if want := []Entry{{"affine", "u64 f32 u32"}, {"nothing", ""}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, expected %q", got, err, want)
	}
	_, err = Entries([]byte(".entry k(.param .u64 p, .param .align 8 .b8 q[16])"))
	if err == nil || !strings.Contains(err.Error(), `kernel k: its parameter ".param .align 8 .b8 q[16]"`) {
		t.Errorf("a structure by value: %v", err)
	}
}
