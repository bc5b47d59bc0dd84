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
