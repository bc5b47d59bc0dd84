// What the stand-in reads of a PTX text: its version and target, and each entry's parameters, limits and shared memory.
#ifndef SIGMAZ_SIM_PTX_H
#define SIGMAZ_SIM_PTX_H

#include <map>
#include <string>
#include <vector>

struct PtxParam {
	int size;
	char kind;        // u integer, pointer or bits; f floating point; ? an array of bytes
	std::string text; // ".u64"
};

struct PtxEntry {
	std::vector<PtxParam> params;
	long max_threads = 0; // .maxntid: product, 0: none
	unsigned required[3] = {0, 0, 0}; // .reqntid
	size_t shared = 0;    // bytes of static shared memory
};

struct Ptx {
	int version = 0; // 78: ISA 7.8
	int target = 0;  // 80: sm_80
	std::map<std::string, PtxEntry> entries;
};

// parse_ptx says what is wrong with the text; empty: nothing that it looks at.
std::string parse_ptx(const char *text, Ptx *ptx);

#endif
