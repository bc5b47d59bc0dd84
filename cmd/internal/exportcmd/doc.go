// Package exportcmd is the command export: it writes a network's weights as a PyTorch state_dict, one safetensors
// file that
//
//	net.load_state_dict(safetensors.torch.load_file(FILE), strict=True)
//
// takes with the original class: plain names, convolutions as (O, I, kH, kW), the buffer sigmas where the class has
// one.
//
//	sigmaz export RUN -o FILE.safetensors
//
// With -format onnx it writes the score as an ONNX file, with -format diffusers a folder for that
// library, and with -format huggingface one for the hub.
//
// RUN is a run folder, whose newest checkpoint is taken, a checkpoint, or a .pth file, which is converted in this way.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage.
package exportcmd
