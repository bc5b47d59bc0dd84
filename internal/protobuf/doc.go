// Package protobuf writes messages in the wire format of protocol buffers, field by field.
package protobuf
