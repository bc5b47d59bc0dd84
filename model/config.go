// What a network is built from.

package model

// Config is what a network is built from. It is stored in the run's configuration and in every checkpoint.
type Config struct {
	Net      string  `yaml:"net"`               // one of Networks
	Height   int     `yaml:"height"`            // H; 1 for vectors
	Width    int     `yaml:"width"`             // W; 1 for vectors
	Channels int     `yaml:"channels"`          // C; the dimension D for vectors
	NGF      int     `yaml:"ngf,omitempty"`     // networks for images: channels at full resolution
	Hidden   int     `yaml:"hidden,omitempty"`  // networks for vectors: units of each hidden layer
	DataSD   float64 `yaml:"data_sd,omitempty"` // networks for vectors: standard deviation of all values of the data

	// Options of the networks for images.

	Levels        int    `yaml:"levels,omitempty"`        // L of the ladder, where NeedsLevels
	Normalization string `yaml:"normalization,omitempty"` // one of Normalizations; "": InstanceNorm++
	Nonlinearity  string `yaml:"nonlinearity,omitempty"`  // one of Nonlinearities; "": elu
	Rescaled      bool   `yaml:"rescaled,omitempty"`      // the data is in [-1, 1] and not, as usual, in [0, 1]

	UNet UNet `yaml:"unet,omitempty"` // networks ncsnpp and ddpm

	// What the network is wrapped in: see precondition.go.

	SDE              SDE     `yaml:"sde,omitempty"`              // how its data is noised
	Parameterization string  `yaml:"parameterization,omitempty"` // one of Parameterizations; "": none
	SigmaData        float64 `yaml:"sigma_data,omitempty"`       // of EDM, the deviation of the data
}

// D returns the number of values of one row; 0 while the data is not known.
func (c Config) D() int { return c.Height * c.Width * c.Channels }
