// Package inception is the network of FID, on the CPU and forward only: 2,048 features of a colour image, and 1,008 scores of
// classes. It is InceptionV3 (Szegedy et al., "Rethinking the Inception architecture for computer vision", 2015) as it was
// published for TensorFlow in 2015, with the departures that the graph of pytorch-fid lists: means of windows leave out what
// is outside the image, and the last block takes a maximum in their place. Weights of any other InceptionV3 make other features.
//
// The weights are not part of this project: [Open] reads [File], as pytorch-fid publishes it.
package inception
