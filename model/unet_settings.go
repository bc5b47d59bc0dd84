// What others ask about the settings of a U-Net.

package model

// NCSNPP is the network of NCSN++ and DDPM++ in [Networks].
const NCSNPP = "ncsnpp"

// NamedUNet returns the settings of a U-Net with all choices by name, also those that the network does not leave open. It
// says whether the network is one.
func (c Config) NamedUNet() (UNet, bool) {
	n := c.row()
	if n.named == nil {
		return UNet{}, false
	}
	return n.named(c.UNet), true
}

// Mult returns the channels of each level in units of ngf, of valid settings.
func (u UNet) Mult() []int { return u.mult() }

// Attends says whether level l, counted from 0 at full size, has attention, where the input has that width; of valid
// settings.
func (u UNet) Attends(l, input int) bool { return u.attends(input>>l, input) }
