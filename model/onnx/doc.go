// Package onnx writes a network's score as an ONNX file, which other programs run without this one.
//
//	onnx.go        what is written, and the inputs of the file: begin here
//	layers.go      every layer of model/graph in ONNX's operators
//	told.go        the numbers of a row that a network is told or wrapped by
//	format.go      the file itself, in protocol buffers
//
// There is no second definition of a network here: the graph that [model.Build] makes of it is walked from its score back
// to its inputs, and each layer on the way is written as operators of opset 13. Values are (N, C, H, W) in the file, and
// (N, H, W, C) in the graph.
package onnx
