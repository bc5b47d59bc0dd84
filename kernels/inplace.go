package kernels

// Where a result may overwrite an operand: each kernel reads an element of the operand for the last time before it
// writes the same element of the result.

func (o Add) InPlace() [][2]Buf          { return [][2]Buf{{o.Dst, o.A}, {o.Dst, o.B}} }
func (o Affine) InPlace() [][2]Buf       { return [][2]Buf{{o.Y, o.X}} }
func (o Activate) InPlace() [][2]Buf     { return [][2]Buf{{o.Y, o.X}} }
func (o ActivateGrad) InPlace() [][2]Buf { return [][2]Buf{{o.DX, o.DY}, {o.DX, o.at()}} }
func (o DivSigma) InPlace() [][2]Buf     { return [][2]Buf{{o.Y, o.X}} }
func (o Norm) InPlace() [][2]Buf         { return [][2]Buf{{o.Y, o.X}} }
func (o LossGrad) InPlace() [][2]Buf     { return [][2]Buf{{o.DS, o.S}, {o.DS, o.Z}} }
func (o NormGrad) InPlace() [][2]Buf {
	if o.DX.N == 0 {
		return nil
	}
	return [][2]Buf{{o.DX, o.DY}}
}
