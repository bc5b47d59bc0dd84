// Reads a preprocessed .cu (g++ -E -DSIM_SCAN) from standard input and lists its kernels, one to a line:
//
//	name 0|1        1: the kernel needs fibers
//
// A kernel needs fibers if its body names sim_barrier or sim_exchange, or a function whose body does, and so on. Names
// stand for functions, whatever their overloads or classes: that errs only towards fibers, which cost time, not truth.
#include <ctype.h>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace std;

static vector<string> tokens(const string &s) {
	vector<string> out;
	bool line_start = true;
	for (size_t i = 0; i < s.size();) {
		char c = s[i];
		if (c == '\n') { line_start = true; i++; continue; }
		if (isspace((unsigned char)c)) { i++; continue; }
		if (c == '#' && line_start) { // line markers and pragmas
			while (i < s.size() && s[i] != '\n') i++;
			continue;
		}
		line_start = false;
		size_t start = i;
		if (isalpha((unsigned char)c) || c == '_' || c == '$') {
			while (i < s.size() && (isalnum((unsigned char)s[i]) || s[i] == '_' || s[i] == '$')) i++;
		} else if (isdigit((unsigned char)c)) {
			while (i < s.size() && (isalnum((unsigned char)s[i]) || s[i] == '.' || s[i] == '\'' || s[i] == '_')) i++;
		} else if (c == '"' || c == '\'') {
			for (i++; i < s.size() && s[i] != c; i++)
				if (s[i] == '\\') i++;
			i++;
		} else {
			i++;
		}
		out.push_back(s.substr(start, i - start));
	}
	return out;
}

static bool identifier(const string &s) { return isalpha((unsigned char)s[0]) || s[0] == '_'; }

int main() {
	string text((istreambuf_iterator<char>(cin)), istreambuf_iterator<char>());
	vector<string> t = tokens(text);
	map<string, set<string>> names; // function or class -> identifiers in its body
	vector<string> kernels;

	size_t head = 0; // where the declaration that is being read starts
	for (size_t i = 0; i < t.size(); i++) {
		if (t[i] == ";" || t[i] == "}") { head = i + 1; continue; }
		if (t[i] != "{") continue;
		// What opens here? A function's name stands before the last parentheses at the outer level.
		string name, record;
		bool global = false, plain = true, is_template = false;
		int depth = 0;
		for (size_t j = head; j < i; j++) {
			if (t[j] == "(") {
				if (depth++ == 0 && j > head && identifier(t[j - 1]) && t[j - 1] != "noexcept") name = t[j - 1];
			} else if (t[j] == ")") {
				depth--;
			} else if (depth == 0 && (t[j] == "struct" || t[j] == "class" || t[j] == "union" || t[j] == "enum")) {
				if (j + 1 < i) record = t[j + 1];
			}
			if (t[j] == "SIM_GLOBAL") global = true;
			if (t[j] == "template") is_template = true;
			if (t[j] == "=" && depth == 0) plain = false; // an initialiser
		}
		if (name.empty() && record.empty() && plain) { // namespace, extern "C"
			head = i + 1;
			continue;
		}
		if (name.empty()) name = record;
		set<string> &body = names[name];
		depth = 0;
		for (; i < t.size(); i++) {
			if (t[i] == "{") depth++;
			else if (t[i] == "}" && --depth == 0) break;
			else if (identifier(t[i])) body.insert(t[i]);
		}
		if (global && !is_template) kernels.push_back(name);
		head = i + 1;
	}

	set<string> need = {"sim_barrier", "sim_exchange"};
	for (size_t before = 0; before != need.size();) {
		before = need.size();
		for (auto &f : names)
			for (auto &n : f.second)
				if (need.count(n)) { need.insert(f.first); break; }
	}
	for (auto &k : kernels) cout << k << " " << need.count(k) << "\n";
}
