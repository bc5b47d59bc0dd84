package model

// Config is what a network is built from. It is stored in the run's configuration and in every checkpoint.
type Config struct {
	Net      string  `yaml:"net"`               // "ncsnv2" or "mlp"
	Height   int     `yaml:"height"`            // H; 1 for vectors
	Width    int     `yaml:"width"`             // W; 1 for vectors
	Channels int     `yaml:"channels"`          // C; the dimension D for vectors
	NGF      int     `yaml:"ngf,omitempty"`     // ncsnv2: channels at full resolution
	Hidden   int     `yaml:"hidden,omitempty"`  // mlp: width of the three hidden layers
	DataSD   float64 `yaml:"data_sd,omitempty"` // mlp: standard deviation of the data, sd in x / sqrt(sigma^2 + sd^2)
}

// D is the number of values of one row.
func (c Config) D() int { return c.Height * c.Width * c.Channels }
