// A reader of PTX headers. Instructions are skipped.
#include "ptx.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

using namespace std;

namespace {

// Words are names and directives with their dots, numbers, and single other characters; comments are left out.
vector<string> words_of(const char *s) {
	vector<string> out;
	while (*s) {
		if (isspace((unsigned char)*s)) { s++; continue; }
		if (s[0] == '/' && s[1] == '/') {
			while (*s && *s != '\n') s++;
			continue;
		}
		if (s[0] == '/' && s[1] == '*') {
			const char *e = strstr(s + 2, "*/");
			if (!e) break;
			s = e + 2;
			continue;
		}
		const char *b = s;
		if (*s == '"') {
			for (s++; *s && *s != '"'; s++) {}
			if (*s) s++;
		} else if (isalnum((unsigned char)*s) || strchr("._$%", *s)) {
			while (*s && (isalnum((unsigned char)*s) || strchr("._$%", *s))) s++;
		} else {
			s++;
		}
		out.emplace_back(b, s - b);
	}
	return out;
}

// size_of is the bytes of a type such as .u32; 0: no type.
int size_of(const string &t, char *kind) {
	if (t.size() < 3 || t[0] != '.' || !strchr("usbf", t[1]) || t[1] == 0) return 0;
	for (size_t i = 2; i < t.size(); i++)
		if (!isdigit((unsigned char)t[i])) return 0;
	*kind = t[1] == 'f' ? 'f' : 'u';
	return atoi(t.c_str() + 2) / 8;
}

// Variable reads a declaration "[.align n] .type name[n]" from word i on, up to its end.
PtxParam variable(const vector<string> &w, size_t &i) {
	PtxParam p = {0, '?', ""};
	long n = 1;
	for (; i < w.size() && w[i] != ";" && w[i] != "," && w[i] != ")"; i++) {
		char kind;
		if (int size = size_of(w[i], &kind)) p.size = size, p.kind = kind, p.text = w[i];
		if (w[i] == "[" && i + 1 < w.size()) {
			n *= atol(w[i + 1].c_str());
			p.kind = '?';
			p.text += "[" + w[i + 1] + "]";
		}
	}
	p.size *= n;
	return p;
}

} // namespace

string parse_ptx(const char *text, Ptx *ptx) {
	vector<string> w = words_of(text);
	size_t i = 0;
	auto next = [&](size_t k) { return i + k < w.size() ? w[i + k] : string(); };
	map<string, size_t> shared; // variables of the module
	for (; i < w.size(); i++) {
		if (w[i] == ".version") {
			int major = 0, minor = 0;
			if (sscanf(next(1).c_str(), "%d.%d", &major, &minor) != 2) return "no number after .version";
			ptx->version = 10 * major + minor;
		} else if (w[i] == ".target") {
			if (next(1).compare(0, 3, "sm_")) return "no sm_ after .target";
			ptx->target = atoi(next(1).c_str() + 3);
		} else if (w[i] == ".address_size") {
			if (next(1) != "64") return ".address_size is not 64";
		} else if (w[i] == ".shared" && (i == 0 || w[i - 1] != ".extern")) {
			size_t name = i;
			PtxParam v = variable(w, i);
			for (; name < i; name++)
				if (w[name][0] != '.' && !isdigit((unsigned char)w[name][0]) && w[name] != "[") break;
			if (name < i) shared[w[name]] = v.size;
		} else if (w[i] == ".entry") {
			string name = next(1);
			PtxEntry &e = ptx->entries[name];
			i += 2;
			if (i < w.size() && w[i] == "(") {
				for (i++; i < w.size() && w[i] != ")";) {
					if (w[i] == ".param") {
						e.params.push_back(variable(w, i));
						continue;
					}
					i++;
				}
				i++;
			}
			for (; i < w.size() && w[i] != "{" && w[i] != ";"; i++) {
				bool max = w[i] == ".maxntid";
				if (!max && w[i] != ".reqntid") continue;
				unsigned n[3] = {1, 1, 1};
				for (int k = 0; k < 3 && i + 1 < w.size() && isdigit((unsigned char)w[i + 1][0]); k++) {
					n[k] = unsigned(atol(w[++i].c_str()));
					if (i + 1 < w.size() && w[i + 1] == ",") i++;
				}
				if (max) e.max_threads = long(n[0]) * n[1] * n[2];
				else memcpy(e.required, n, sizeof n);
			}
			int depth = 0;
			map<string, bool> seen;
			for (; i < w.size(); i++) {
				if (w[i] == ";" && depth == 0) break;
				if (w[i] == "{") depth++;
				else if (w[i] == "}") { if (--depth == 0) break; }
				else if (w[i] == ".shared" && w[i - 1] != ".extern") e.shared += variable(w, i).size;
				else if (shared.count(w[i]) && !seen[w[i]]) seen[w[i]] = true, e.shared += shared[w[i]];
			}
			if (i >= w.size()) return "entry " + name + " has no end";
		}
	}
	if (!ptx->version) return "no .version";
	if (!ptx->target) return "no .target";
	return "";
}
