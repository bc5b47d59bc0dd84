// Translates a PTX module to C++ that the stand-in driver runs:
//
//	ptx2c FILE.ptx >FILE.cpp
//	ptx2c --untested FILE.ptx ...     lists the instructions of instructions.inc that the files do not use
//
// A register becomes a variable, a label a label, a branch a goto, and an instruction a call of a function of emu.h: most by
// the table instructions.inc, those with addresses, vectors or a warp behind them by a function here. An entry becomes
// a function of one thread, and a row of the table by which the driver knows the module.
//
//	add.s32 %r3, %r1, %r2;         put(_r3, add<s32>(as<s32>(_r1), as<s32>(_r2)));
//	@%p1 bra $L__BB0_2;            if (_p1) { goto _L__BB0_2; }
//	ld.global.f32 %f1, [%rd4+8];   { char *const m = global<f32, 1>(as<u64>(_rd4) + u64(8), SIM_READ, 40); put(_f1, load<f32>(m, 0)); }
//
// What is not known, be it an instruction, a modifier, a directive, a register or a name, is an error with its line, never a
// guess, and so is a register that is read and nowhere written. What the assembler may choose is not chosen to hide: mul and
// add that are not .rn stay two roundings, registers start as NaN or 0xdeadbeef.
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cell.h"

using namespace std;
typedef vector<string> Words;

// ---- Messages ----

static string file_name;
static int line_now; // of the statement in work

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...) {
	va_list args;
	va_start(args, format);
	fprintf(stderr, "%s:%d: ", file_name.c_str(), line_now);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(1);
}

static string format(const char *f, ...) __attribute__((format(printf, 1, 2)));
static string format(const char *f, ...) {
	va_list args;
	va_start(args, f);
	char *text;
	if (vasprintf(&text, f, args) < 0) abort();
	va_end(args);
	string s = text;
	free(text);
	return s;
}

static bool is_digit(char c) { return isdigit((unsigned char)c); }
static bool in_name(char c) { return isalnum((unsigned char)c) || strchr("._$%", c); }

static string base_name(const string &path) { return path.substr(path.rfind('/') + 1); }

// ---- Words of a PTX text ----

struct Token { string s; int line; };

static vector<Token> tokens_of(const string &t) {
	vector<Token> out;
	int line = 1;
	for (size_t i = 0; i < t.size();) {
		const char c = t[i];
		if (c == '\n') line++;
		if (isspace((unsigned char)c)) { i++; continue; }
		if (t.compare(i, 2, "//") == 0) {
			while (i < t.size() && t[i] != '\n') i++;
			continue;
		}
		if (t.compare(i, 2, "/*") == 0) {
			for (i += 2; i < t.size() && t.compare(i, 2, "*/"); i++) line += t[i] == '\n';
			i += 2;
			continue;
		}
		const size_t b = i++;
		if (c == '"') {
			while (i < t.size() && t[i++] != '"') {}
		} else if (in_name(c)) {
			while (i < t.size() && (in_name(t[i]) || (t[i] == ':' && t[i + 1] == ':') || (t[i] == ':' && t[i - 1] == ':'))) i++;
		} else if (c == '-' && i < t.size() && is_digit(t[i])) {
			while (i < t.size() && isalnum((unsigned char)t[i])) i++;
		}
		out.push_back({t.substr(b, i - b), line});
	}
	return out;
}

static Words split(const string &s, char by) {
	Words out(1);
	for (char c : s) {
		if (c == by) out.emplace_back();
		else out.back() += c;
	}
	return out;
}

// ---- The table of instructions ----

struct Row { const char *name, *operands, *code; };
static const Row rows[] = {
#define X(name, operands, code) {name, operands, code},
#include "instructions.inc"
#undef X
};

// Form is one instruction of the table.
struct Form {
	int row;
	Words chosen; // an alternative of each braces of the row's name
};
static map<string, Form> forms;
static set<string> used; // "row group alternative"

// expand enters all names that a pattern stands for.
static void expand(int row, const char *pattern, const string &name, Words chosen) {
	const char *open = strchr(pattern, '{');
	if (!open) {
		string all = name + pattern;
		if (!forms.insert({all, {row, chosen}}).second) die("%s is in the table twice", all.c_str());
		return;
	}
	const char *close = strchr(open, '}');
	chosen.emplace_back();
	for (auto &alternative : split(string(open + 1, close), ',')) {
		chosen.back() = alternative;
		expand(row, close + 1, name + string(pattern, open) + alternative, chosen);
	}
}

static void read_table() {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expand(int(i), rows[i].name, "", {});
}

// fill puts what was chosen, and the operands, into a template of the table.
static string fill(const string &code, const Words &chosen, const Words &operands) {
	string out;
	for (size_t i = 0; i < code.size(); i++) {
		const char c = code[i];
		if (c == '$') {
			bool joined = code[i + 1] == '_';
			string a = chosen[code[i + (joined ? 2 : 1)] - '1'];
			if (a[0] == '.') a.erase(0, 1);
			out += joined && !a.empty() ? "_" + a : a;
			i += joined ? 2 : 1;
		} else if (c == '%' && code.compare(i, 5, "%line") == 0) {
			out += to_string(line_now);
			i += 4;
		} else if (c == '%' && !operands.empty()) {
			out += operands[code[++i] - '1'];
		} else {
			out += c;
		}
	}
	return out;
}

// ---- Types ----

static int bytes_of(const string &type) {
	static const set<string> known = {"b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"};
	if (!known.count(type)) die("the type .%s is not known", type.c_str());
	return atoi(type.c_str() + 1) / 8;
}
static bool is_float(const string &type) { return type[0] == 'f'; }
// register_type is the C++ type of a register: bits are unsigned.
static string register_type(string type) {
	if (type == "pred") return type;
	bytes_of(type);
	if (type[0] == 'b') type[0] = 'u';
	return type;
}

// identifier is a PTX name in C++.
static string identifier(const string &ptx) {
	string s;
	for (char c : ptx) s += isalnum((unsigned char)c) || c == '_' ? c : '_';
	return is_digit(s[0]) ? "_" + s : s;
}

// ---- Declarations ----

struct Variable {
	string name, type;
	size_t align, bytes;
	bool array;
	size_t offset; // of shared memory, or in a list of parameters
	bool pointer;  // a parameter that is used as an address of global memory
};

struct Function {
	string name;
	bool entry = false, declared_only = true;
	vector<Variable> params, results;
	size_t param_bytes = 0;
	size_t max_threads = 0, required[3] = {0, 0, 0};
	string body;             // C++
	string ranges;           // the test for addresses of its shared memory
	size_t shared_bytes = 0; // of the static variables that it uses
	size_t shared_end = 0;
	bool meets = false;      // has instructions that threads meet in
	set<string> calls;
};

// Operand is a word, a vector {a, b}, an address [a+b] or a list (a, b). Predicates may be negated, and second results stand
// behind a bar.
struct Operand {
	enum Kind { WORD, VECTOR, ADDRESS, LIST } kind = WORD;
	string word, second;
	bool negated = false;
	Words list;
	long offset = 0;
};

// ---- The translator ----

static bool has(const Words &m, const char *w) {
	for (size_t i = 1; i < m.size(); i++)
		if (m[i] == w) return true;
	return false;
}

class Translator {
public:
	explicit Translator(const string &text) : tokens(tokens_of(text)), text(text) {}
	void module();
	void print();

private:
	vector<Token> tokens;
	string text;
	size_t at = 0;

	map<string, Function> functions;
	vector<string> order;
	map<string, Variable> common; // shared variables of the module and of its functions, at one place for all
	size_t common_end = 0;
	set<string> dynamic;          // names of dynamic shared memory

	// Of the function in work.
	Function *now = nullptr;
	struct Register { string name, type, variable; int line; bool read = false, written = false; };
	deque<Register> registers;
	map<string, Register *> names; // that are known at this place
	struct Family { string type; int count; };
	map<string, Family> families; // "%r" of %r<8>
	map<string, Variable> own_shared, locals, call_params;
	vector<map<string, Register *>> hidden; // of each inner block: names that it declares, and what they were before
	map<string, int> labels_used;
	set<string> labels;
	map<string, string> loaded_from; // register -> parameter
	set<string> own_names;           // shared variables that the function names
	bool uses_dynamic = false;
	string head;
	int serial = 0;

	// Reading
	const string &word(size_t k = 0) {
		static const string none;
		if (at + k >= tokens.size()) return none;
		return tokens[at + k].s;
	}
	const string &next() {
		if (at >= tokens.size()) die("the file ends too early");
		line_now = tokens[at].line;
		return tokens[at++].s;
	}
	void expect(const char *s) {
		if (next() != s) die("%s where %s is due", tokens[at - 1].s.c_str(), s);
	}
	Variable declaration();
	vector<Variable> parameters(size_t *bytes);
	Operand operand();
	void place_shared(Variable &v, size_t *end) {
		v.offset = (*end + SIM_SHARED_GAP + max<size_t>(16, v.align) - 1) / max<size_t>(16, v.align) * max<size_t>(16, v.align);
		if (*end == 0) v.offset = 0;
		*end = v.offset + v.bytes;
		if (*end > SIM_SHARED_MAX / 2) die("%zu bytes of shared memory", *end);
	}
	void find_common();
	void function(bool entry);
	void limits(Function &f);
	void body();
	void declare_registers();
	void statement(string *out);

	// Expressions
	Register &find_register(const string &w);
	Register *new_register(const string &name, const string &type, const string &variable);
	string get(const string &w, const string &type);
	string get(const Operand &o, const string &type);
	string assign(const string &w, const string &value);
	string own() const { return "own_" + identifier(now->name); }

	string instruction(const string &name, const Words &m, const vector<Operand> &o);
	string by_table(const Form &f, const string &name, const vector<Operand> &o);
	string move(const Words &m, const vector<Operand> &o);
	string access(const Words &m, const vector<Operand> &o);
	string parameter_access(bool load, const string &type, const Words &values, const Operand &a);
	string to_address_space(const Words &m, const vector<Operand> &o);
	string atomic(const Words &m, const vector<Operand> &o);
	string warp(const string &name, const Words &m, const vector<Operand> &o);
	string copy(const string &name, const Words &m, const vector<Operand> &o);
	string call(const vector<Operand> &o);
	string place(const string &space, const string &type, size_t n, const Operand &a, const char *how);
	string address(const Operand &a, const string &type);
};

// declaration reads "[.align n] .type [.ptr ...] name[n]".
Variable Translator::declaration() {
	Variable v{};
	for (;; at++) {
		const string &w = word();
		if (w == ".align") v.align = atoi(word(1).c_str()), at++;
		else if (w == ".ptr" || w == ".global" || w == ".const" || w == ".shared" || w == ".local") continue; // what a pointer points to
		else if (w[0] == '.') v.type = w.substr(1);
		else break;
	}
	v.name = next();
	v.bytes = bytes_of(v.type);
	while (word() == "[") {
		at++;
		v.array = true;
		v.bytes *= word() == "]" ? 0 : strtoul(next().c_str(), nullptr, 0);
		expect("]");
	}
	v.align = max<size_t>(v.align, bytes_of(v.type));
	return v;
}

vector<Variable> Translator::parameters(size_t *bytes) {
	vector<Variable> out;
	*bytes = 0;
	expect("(");
	while (word() != ")") {
		if (word() == ",") at++;
		expect(".param");
		Variable v = declaration();
		v.offset = (*bytes + v.align - 1) / v.align * v.align;
		*bytes = v.offset + v.bytes;
		out.push_back(v);
	}
	at++;
	return out;
}

Operand Translator::operand() {
	Operand o;
	string w = next();
	if (w == "{" || w == "(") {
		o.kind = w == "{" ? Operand::VECTOR : Operand::LIST;
		const char *end = w == "{" ? "}" : ")";
		while ((w = next()) != end)
			if (w != ",") o.list.push_back(w);
	} else if (w == "[") {
		o.kind = Operand::ADDRESS;
		o.word = next();
		if (word() == "+") at++;
		if (word() != "]") {
			const string &n = next();
			if (!is_digit(n[0]) && n[0] != '-') die("the offset %s", n.c_str());
			o.offset = strtol(n.c_str(), nullptr, 0);
		}
		expect("]");
	} else {
		if (w == "!") o.negated = true, w = next();
		o.word = w;
		if (word() == "|") at++, o.second = next();
	}
	return o;
}

// find_common gives the shared variables that do not belong to one entry a place that all entries know, in front of their own.
void Translator::find_common() {
	bool entry = false;
	int depth = 0;
	for (at = 0; at < tokens.size(); at++) {
		line_now = tokens[at].line;
		const string &w = word();
		if (w == "{") depth++;
		else if (w == "}") depth--;
		else if (depth == 0 && w == ".entry") entry = true;
		else if (depth == 0 && w == ".func") entry = false;
		else if (w == ".shared" && (depth == 0 || !entry)) {
			bool outside = word(-1) == ".extern";
			at++;
			Variable v = declaration();
			at--;
			if (outside) {
				dynamic.insert(v.name);
				continue;
			}
			if (common.count(v.name)) die("a second %s", v.name.c_str());
			place_shared(v, &common_end);
			common[v.name] = v;
		}
	}
	at = 0;
}

// ---- Operands ----

Translator::Register &Translator::find_register(const string &w) {
	auto r = names.find(w);
	if (r != names.end()) return *r->second;
	size_t n = w.size();
	while (n > 1 && is_digit(w[n - 1])) n--;
	auto f = families.find(w.substr(0, n));
	if (f == families.end() || n == w.size() || atoi(w.c_str() + n) >= f->second.count) die("the register %s is not declared", w.c_str());
	return *(names[w] = new_register(w, f->second.type, identifier(w)));
}

Translator::Register *Translator::new_register(const string &name, const string &type, const string &variable) {
	registers.push_back({name, type, variable, line_now});
	head += format("\t%s %s = junk<%s>();\n", type.c_str(), variable.c_str(), type.c_str());
	return &registers.back();
}

// get is a word read as a type.
string Translator::get(const string &w, const string &type) {
	const char *t = type.c_str();
	if (is_digit(w[0]) || w[0] == '-') {
		if (w[0] == '0' && strchr("fF", w[1]) && w.size() == 10) return format("as<%s>(bits<f32>(u32(0x%su)))", t, w.c_str() + 2);
		if (w[0] == '0' && strchr("dD", w[1]) && w.size() == 18) return format("as<%s>(bits<f64>(u64(0x%sull)))", t, w.c_str() + 2);
		if (is_float(type)) die("the number %s as a .%s", w.c_str(), t);
		char *end;
		uint64_t v = w[0] == '-' ? uint64_t(strtoll(w.c_str(), &end, 0)) : strtoull(w.c_str(), &end, 0);
		if (*end && strcmp(end, "U")) die("the number %s", w.c_str());
		if (type == "pred") return v ? "true" : "false";
		return format("%s(0x%llxull)", t, (unsigned long long)v);
	}
	if (w[0] == '%') {
		static const map<string, string> special = {{"%laneid", "sim_lane()"}, {"%warpid", "sim_warp()"}, {"%lanemask_eq", "1u << sim_lane()"},
			{"%lanemask_lt", "(1u << sim_lane()) - 1"}, {"%lanemask_le", "(2u << sim_lane()) - 1"}, {"%lanemask_gt", "~((2u << sim_lane()) - 1)"},
			{"%lanemask_ge", "~((1u << sim_lane()) - 1)"}, {"%dynamic_smem_size", "sim_dynamic_bytes"}};
		static const map<string, string> triples = {{"%tid", "sim_thread"}, {"%ctaid", "sim_block"}, {"%ntid", "sim_block_dim"}, {"%nctaid", "sim_grid_dim"}};
		auto s = special.find(w);
		if (s != special.end()) return format("as<%s>(u32(%s))", t, s->second.c_str());
		size_t dot = w.find('.');
		if (dot != string::npos) {
			auto i = triples.find(w.substr(0, dot));
			if (i == triples.end() || (w.substr(dot) != ".x" && w.substr(dot) != ".y" && w.substr(dot) != ".z")) die("the special register %s is not known", w.c_str());
			return format("as<%s>(u32(%s%s))", t, i->second.c_str(), w.c_str() + dot);
		}
	}
	auto shared = own_shared.find(w);
	if (shared == own_shared.end() && common.count(w)) shared = own_shared.insert({w, common[w]}).first;
	if (shared != own_shared.end()) {
		own_names.insert(w);
		return format("%s(%zu)", t, shared->second.offset);
	}
	if (dynamic.count(w)) {
		uses_dynamic = true;
		return format("%s(sim_dynamic_at)", t);
	}
	auto l = locals.find(w);
	if (l != locals.end()) return format("%s(%s.address())", t, identifier(w).c_str());
	if (w[0] != '%' && !names.count(w)) die("the name %s is not known", w.c_str());
	Register &r = find_register(w);
	r.read = true;
	if (r.type == type) return r.variable;
	return format("as<%s>(%s)", t, r.variable.c_str());
}

string Translator::get(const Operand &o, const string &type) {
	if (o.kind != Operand::WORD || !o.second.empty()) die("an operand that is no plain one");
	if (o.negated && type != "pred") die("! before an operand that is no predicate");
	return (o.negated ? "!" : "") + get(o.word, type);
}

string Translator::assign(const string &w, const string &value) {
	if (w == "_") return "(void)(" + value + ");";
	Register &r = find_register(w);
	r.written = true;
	loaded_from.erase(w);
	return "put(" + r.variable + ", " + value + ");";
}

string Translator::address(const Operand &a, const string &type) {
	if (a.kind != Operand::ADDRESS) die("an operand that is no address");
	string s = get(a.word, type);
	return a.offset ? format("%s + %s(%ld)", s.c_str(), type.c_str(), a.offset) : s;
}

// place is the host's address of an operand of n values, checked.
string Translator::place(const string &space, const string &type, size_t n, const Operand &a, const char *how) {
	const char *t = type.c_str();
	if (space == "shared") return format("shared<%s, %zu, %s>(%s, %s, %d)", t, n, own().c_str(), address(a, "u32").c_str(), how, line_now);
	if (space == "local") return format("local<%s, %zu>(%s, %d)", t, n, address(a, "u64").c_str(), line_now);
	return format("%s<%s, %zu>(%s, %s, %d)", space.c_str(), t, n, address(a, "u64").c_str(), how, line_now);
}

// ---- Instructions ----

static void need(const vector<Operand> &o, size_t n) {
	if (o.size() != n) die("%zu operands where %zu are due", o.size(), n);
}
// only checks that there are no other modifiers than these and one type at the end.
static void only(const Words &m, const char *allowed) {
	Words list = split(allowed, ' ');
	for (size_t i = 1; i + 1 < m.size(); i++) {
		bool ok = false;
		for (auto &a : list) ok |= m[i] == a;
		if (!ok) die("%s with .%s is not known", m[0].c_str(), m[i].c_str());
	}
	if (m.size() < 2) die("%s without a type", m[0].c_str());
}

string Translator::instruction(const string &name, const Words &m, const vector<Operand> &o) {
	auto f = forms.find(name);
	if (f != forms.end()) return by_table(f->second, name, o);
	const string &op = m[0];
	if (op == "mov") return move(m, o);
	if (op == "ld" || op == "st") return access(m, o);
	if (op == "cvta") return to_address_space(m, o);
	if (op == "atom" || op == "red") return atomic(m, o);
	if (name == "bra" || name == "bra.uni") {
		need(o, 1);
		if (!labels_used.count(o[0].word)) labels_used[o[0].word] = line_now;
		return "goto " + identifier(o[0].word) + ";";
	}
	if (name == "call" || name == "call.uni") return call(o);
	if (name == "ret" || name == "ret.uni") return "return;";
	if (name == "exit" && now->entry) return "return;";
	if (name == "trap") return format("fault(SIM_ASSERT, \"trap\", %d);", line_now);
	if (name == "membar.cta" || name == "membar.gl" || name == "membar.sys") return ";"; // threads run one at a time
	if (op == "fence") {
		for (size_t i = 1; i < m.size(); i++)
			if (m[i] != "sc" && m[i] != "acq_rel" && m[i] != "cta" && m[i] != "gpu" && m[i] != "sys") die("%s is not known", name.c_str());
		return ";";
	}
	if (name == "bar.sync" || name == "barrier.sync" || name == "barrier.sync.aligned") {
		if (o.size() != 1 || o[0].word != "0") die("a barrier of a part of the block, or another than 0");
		now->meets = true;
		return format("sim_barrier(PTX_FILE, %d);", line_now);
	}
	if (op == "shfl" || op == "vote" || op == "ldmatrix" || op == "mma" || name == "bar.warp.sync") return warp(name, m, o);
	if (op == "cp") return copy(name, m, o);
	die("the instruction %s is not known", name.c_str());
}

string Translator::by_table(const Form &f, const string &name, const vector<Operand> &o) {
	const Row &row = rows[f.row];
	Words types = split(row.operands, ' '), values;
	need(o, types.size() + 1);
	bool ftz = false, sat = false;
	for (size_t g = 0; g < f.chosen.size(); g++) {
		used.insert(format("%d %zu %s", f.row, g, f.chosen[g].c_str()));
		ftz |= f.chosen[g] == ".ftz";
		sat |= f.chosen[g] == ".sat";
	}
	used.insert(to_string(f.row));
	for (size_t i = 0; i < types.size(); i++) {
		values.push_back(get(o[i + 1], fill(types[i], f.chosen, {})));
		if (ftz) values.back() = "flush(" + values.back() + ")";
	}
	string value = fill(row.code, f.chosen, values);
	if (sat) value = "saturate(" + value + ")";
	if (ftz) value = "flush(" + value + ")";
	if (o[0].kind != Operand::WORD || !o[0].second.empty()) die("the destination of %s", name.c_str());
	return assign(o[0].word, value);
}

string Translator::move(const Words &m, const vector<Operand> &o) {
	need(o, 2);
	only(m, "");
	const string &type = m.back();
	if (type != "pred") bytes_of(type);
	const char *t = type.c_str();
	if (o[0].kind == Operand::VECTOR || o[1].kind == Operand::VECTOR) {
		const Words &parts = o[o[0].kind != Operand::VECTOR].list;
		const int all = 8 * bytes_of(type), n = all / int(parts.size());
		if (n * int(parts.size()) != all || n < 8) die("a .%s of %zu parts", t, parts.size());
		string s;
		if (o[0].kind == Operand::VECTOR) {
			s = format("{ const u%d v = %s;", all, get(o[1], format("u%d", all)).c_str());
			for (size_t i = 0; i < parts.size(); i++) s += " " + assign(parts[i], format("u%d(v >> %zu)", n, i * n));
			return s + " }";
		}
		for (size_t i = 0; i < parts.size(); i++) s += format("%su%d(%s) << %zu", i ? " | " : "", all, get(parts[i], format("u%d", n)).c_str(), i * n);
		return assign(o[0].word, format("u%d(%s)", all, s.c_str()));
	}
	if (o[0].kind != Operand::WORD || !o[0].second.empty()) die("the destination of mov");
	return assign(o[0].word, get(o[1], type));
}

string Translator::access(const Words &m, const vector<Operand> &o) {
	need(o, 2);
	only(m, "global shared local param v2 v4 nc volatile ca cg cs lu cv wb wt");
	const bool load = m[0] == "ld";
	const Operand &a = o[load ? 1 : 0], &v = o[load ? 0 : 1];
	const string &type = m.back();
	bytes_of(type);
	string space = "generic";
	for (const char *s : {"global", "shared", "local", "param"})
		if (has(m, s)) space = s;
	Words values = v.kind == Operand::VECTOR ? v.list : Words{v.word};
	if (values.size() != size_t(has(m, "v2") ? 2 : has(m, "v4") ? 4 : 1)) die("a vector of %zu", values.size());
	if (space == "param") return parameter_access(load, type, values, a);
	string s = format("{ char *const m = %s;", place(space, type, values.size(), a, load ? "SIM_READ" : "SIM_WRITE").c_str());
	for (size_t i = 0; i < values.size(); i++) {
		if (load) s += " " + assign(values[i], format("load<%s>(m, %zu)", type.c_str(), i));
		else s += format(" store<%s>(m, %zu, %s);", type.c_str(), i, get(values[i], type).c_str());
	}
	return s + " }";
}

// parameter_access is ld.param and st.param: of the function's own parameters, or of those that it calls another with.
string Translator::parameter_access(bool load, const string &type, const Words &values, const Operand &a) {
	const Variable *p = nullptr;
	string where;
	auto mine = call_params.find(a.word);
	if (mine != call_params.end()) p = &mine->second, where = identifier(a.word);
	if (load)
		for (auto &q : now->params)
			if (q.name == a.word) p = &q, where = now->entry ? format("params + %zu", q.offset) : identifier(q.name);
	if (!load)
		for (auto &q : now->results)
			if (q.name == a.word) p = &q, where = identifier(q.name);
	if (!p) die("the parameter %s is not known", a.word.c_str());
	const size_t n = bytes_of(type);
	if (a.offset < 0 || a.offset + n * values.size() > p->bytes || (!p->array && n != p->bytes)) die("the parameter %s, .%s, is used as .%s", p->name.c_str(), p->type.c_str(), type.c_str());
	string s;
	for (size_t i = 0; i < values.size(); i++) {
		if (load) s += assign(values[i], format("load<%s>(%s + %zu)", type.c_str(), where.c_str(), a.offset + i * n)) + " ";
		else s += format("store<%s>(%s + %zu, 0, %s); ", type.c_str(), where.c_str(), a.offset + i * n, get(values[i], type).c_str());
	}
	if (load && now->entry && values.size() == 1 && n == 8) loaded_from[values[0]] = p->name;
	return s;
}

// Generic addresses are the host's, and so are those of global and of local memory.
string Translator::to_address_space(const Words &m, const vector<Operand> &o) {
	need(o, 2);
	only(m, "to global local shared");
	if (m.back() != "u64" || m.size() != (has(m, "to") ? 4 : 3)) die("this cvta is not known");
	if (has(m, "shared")) {
		if (has(m, "to")) return assign(o[0].word, "shared_of_generic(" + get(o[1], "u64") + ")");
		return assign(o[0].word, "generic_of_shared(" + get(o[1], "u32") + ")");
	}
	auto from = loaded_from.find(o[1].word);
	if (has(m, "global") && from != loaded_from.end())
		for (auto &p : now->params)
			if (p.name == from->second) p.pointer = true;
	return assign(o[0].word, get(o[1], "u64"));
}

string Translator::atomic(const Words &m, const vector<Operand> &o) {
	const bool red = m[0] == "red";
	only(m, "global shared relaxed acquire release acq_rel cta gpu sys add min max and or xor exch cas inc dec");
	string op, space = "generic";
	for (size_t i = 1; i + 1 < m.size(); i++) {
		if (m[i] == "global" || m[i] == "shared") space = m[i];
		for (const char *k : {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"})
			if (m[i] == k) op = k;
	}
	const string &type = m.back();
	static const map<string, string> types = {{"add", "u32 s32 u64 f32 f64"}, {"min", "u32 s32 u64 s64"}, {"max", "u32 s32 u64 s64"}, {"and", "b32 b64"},
		{"or", "b32 b64"}, {"xor", "b32 b64"}, {"exch", "b32 b64"}, {"cas", "b32 b64"}, {"inc", "u32"}, {"dec", "u32"}};
	auto allowed = types.find(op);
	if (allowed == types.end() || (" " + allowed->second + " ").find(" " + type + " ") == string::npos || (red && (op == "exch" || op == "cas"))) die("this %s is not known", m[0].c_str());
	need(o, (red ? 2 : 3) + (op == "cas"));
	const char *t = type.c_str();
	const string x = get(o[red ? 1 : 2], type);
	string f;
	if (op == "add") f = is_float(type) ? "old + x" : format("add<%s>(old, x)", t);
	else if (op == "min") f = format("least<%s>(old, x)", t);
	else if (op == "max") f = format("greatest<%s>(old, x)", t);
	else if (op == "and" || op == "or" || op == "xor") f = format("bit_%s<%s>(old, x)", op.c_str(), t);
	else if (op == "exch") f = "x";
	else if (op == "cas") f = format("old == x ? %s : old", get(o[3], type).c_str());
	else if (op == "inc") f = "old >= x ? 0 : old + 1";
	else if (op == "dec") f = "old == 0 || old > x ? x : old - 1";
	string s = format("atom<%s>(%s, [&](%s old) { const %s x = %s; return %s(%s); })", t, place(space, type, 1, o[red ? 0 : 1], "SIM_ATOMIC").c_str(), t, t, x.c_str(), t, f.c_str());
	return red ? "(void)" + s + ";" : assign(o[0].word, s);
}

string Translator::warp(const string &name, const Words &m, const vector<Operand> &o) {
	now->meets = true;
	if (name == "bar.warp.sync") return need(o, 1), format("sim_exchange(0, %s, true, PTX_FILE, %d);", get(o[0], "u32").c_str(), line_now);
	if (m[0] == "shfl") {
		need(o, 5);
		if (m.size() != 4 || m[1] != "sync" || m[3] != "b32" || (m[2] != "up" && m[2] != "down" && m[2] != "bfly" && m[2] != "idx")) die("the instruction %s is not known", name.c_str());
		string s = format("{ bool valid; const u32 v = shuffle(shfl_%s, %s, %s, %s, %s, valid, %d); ", m[2].c_str(), get(o[1], "u32").c_str(), get(o[2], "u32").c_str(),
			get(o[3], "u32").c_str(), get(o[4], "u32").c_str(), line_now);
		s += assign(o[0].word, "v");
		if (!o[0].second.empty()) s += " " + assign(o[0].second, "valid");
		return s + " }";
	}
	if (m[0] == "vote") {
		need(o, 3);
		string f = name == "vote.sync.ballot.b32" ? "ballot" : name == "vote.sync.all.pred" ? "vote_all" : name == "vote.sync.any.pred" ? "vote_any" : name == "vote.sync.uni.pred" ? "vote_uni" : "";
		if (f.empty()) die("the instruction %s is not known", name.c_str());
		return assign(o[0].word, format("%s(%s, %s, %d)", f.c_str(), get(o[1], "pred").c_str(), get(o[2], "u32").c_str(), line_now));
	}
	auto values = [&](size_t i, size_t n, const char *type) {
		if (o[i].kind != Operand::VECTOR || o[i].list.size() != n) die("operand %zu of %s is no vector of %zu", i, name.c_str(), n);
		string s;
		for (auto &v : o[i].list) s += (s.empty() ? "" : ", ") + get(v, type);
		return "{" + s + "}";
	};
	auto results = [&](size_t n) {
		if (o[0].kind != Operand::VECTOR || o[0].list.size() != n) die("the destination of %s is no vector of %zu", name.c_str(), n);
		string s;
		for (size_t i = 0; i < n; i++) s += " " + assign(o[0].list[i], format("d[%zu]", i));
		return s + " }";
	};
	if (m[0] == "ldmatrix") {
		need(o, 2);
		const bool trans = has(m, "trans");
		const int n = has(m, "x4") ? 4 : has(m, "x2") ? 2 : 1;
		if (name != format("ldmatrix.sync.aligned.m8n8.x%d.%sshared.b16", n, trans ? "trans." : "")) die("the instruction %s is not known", name.c_str());
		return format("{ u32 d[%d]; ldmatrix<%d, %s, %s>(d, %s, %d);", n, n, trans ? "true" : "false", own().c_str(), address(o[1], "u32").c_str(), line_now) + results(n);
	}
	need(o, 4);
	const char *f = name == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" ? "mma_bf16" : name == "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" ? "mma_tf32" : nullptr;
	if (!f) die("the instruction %s is not known", name.c_str());
	return format("{ const u32 a[4] = %s, b[2] = %s; const f32 c[4] = %s; f32 d[4]; %s(d, a, b, c, %d);", values(1, 4, "u32").c_str(), values(2, 2, "u32").c_str(),
		values(3, 4, "f32").c_str(), f, line_now) + results(4);
}

string Translator::copy(const string &name, const Words &, const vector<Operand> &o) {
	if (name == "cp.async.commit_group") return need(o, 0), "copies.commit();";
	if (name == "cp.async.wait_group") return need(o, 1), format("copies.wait(%d);", atoi(o[0].word.c_str()));
	if (name == "cp.async.wait_all") return need(o, 0), "copies.wait_all();";
	if (name != "cp.async.cg.shared.global" && name != "cp.async.ca.shared.global") die("the instruction %s is not known", name.c_str());
	if (o.size() != 3 && o.size() != 4) die("%zu operands of %s", o.size(), name.c_str());
	const int size = atoi(o[2].word.c_str());
	if (size != 16 && (name == "cp.async.cg.shared.global" || (size != 4 && size != 8))) die("%s of %d bytes", name.c_str(), size);
	return format("copies.add<%d, %s>(%s, %s, %s, %d);", size, own().c_str(), address(o[0], "u32").c_str(), address(o[1], "u64").c_str(), get(o.back(), "u32").c_str(), line_now);
}

// Parameters and results of a call are blocks of bytes.
string Translator::call(const vector<Operand> &o) {
	const bool result = o.size() > 1 && o[0].kind == Operand::LIST && o[1].kind == Operand::WORD;
	if (o.size() < size_t(result) + 1 || o[result].kind != Operand::WORD) die("this call is not known");
	const string &name = o[result].word;
	auto f = functions.find(name);
	if (f == functions.end() || f->second.entry) die("the function %s is not known", name.c_str());
	Words args = result ? o[0].list : Words();
	if (args.size() != f->second.results.size()) die("%s gives %zu results", name.c_str(), f->second.results.size());
	if (o.size() > size_t(result) + 1) args.insert(args.end(), o[result + 1].list.begin(), o[result + 1].list.end());
	if (args.size() != f->second.results.size() + f->second.params.size()) die("%s takes %zu parameters", name.c_str(), f->second.params.size());
	string list;
	for (size_t i = 0; i < args.size(); i++) {
		auto p = call_params.find(args[i]);
		if (p == call_params.end()) die("the parameter %s is not known", args[i].c_str());
		const Variable &q = i < f->second.results.size() ? f->second.results[i] : f->second.params[i - f->second.results.size()];
		if (p->second.bytes != q.bytes) die("%s has %zu bytes, the parameter of %s %zu", args[i].c_str(), p->second.bytes, name.c_str(), q.bytes);
		list += (list.empty() ? "" : ", ") + identifier(args[i]);
	}
	now->calls.insert(name);
	return "ptx_" + identifier(name) + "(" + list + ");";
}

// ---- Functions ----

void Translator::declare_registers() {
	string type = register_type(next().substr(1));
	do {
		string name = next();
		if (word() == "<") {
			at++;
			families[name] = {type, atoi(next().c_str())};
			expect(">");
		} else {
			// A register of an inner block hides another of its name until the block ends.
			if (hidden.back().count(name)) die("a second register %s", name.c_str());
			hidden.back()[name] = names.count(name) ? names[name] : nullptr;
			names[name] = new_register(name, type, identifier(name) + (hidden.size() > 1 ? "_" + to_string(++serial) : ""));
		}
	} while (next() == ",");
	if (tokens[at - 1].s != ";") die("%s where ; is due", tokens[at - 1].s.c_str());
}

void Translator::statement(string *out) {
	string guard;
	if (word() == "@") {
		at++;
		Operand o = operand();
		guard = format("if (%s) ", get(o, "pred").c_str());
	}
	const string name = next();
	const int line = line_now;
	Words m = split(name, '.');
	vector<Operand> o;
	while (word() != ";") {
		o.push_back(operand());
		if (word() == ",") at++;
		else if (word() != ";" && m[0] != "call") die("%s behind an operand of %s", word().c_str(), name.c_str());
	}
	at++;
	line_now = line;
	string s = instruction(name, m, o);
	*out += "\t" + guard + (guard.empty() ? s : "{ " + s + " }") + "\n";
}

void Translator::body() {
	registers.clear(), names.clear(), families.clear(), own_shared.clear(), locals.clear(), call_params.clear(), labels.clear(), labels_used.clear();
	loaded_from.clear(), own_names.clear(), head.clear();
	uses_dynamic = false;
	hidden.assign(1, {});
	now->shared_end = now->entry ? common_end : 0;
	string out;
	expect("{");
	while (!hidden.empty()) {
		const string w = word();
		if (at < tokens.size()) line_now = tokens[at].line;
		if (w == "{") {
			at++;
			hidden.emplace_back();
		} else if (w == "}") {
			at++;
			for (auto &h : hidden.back()) {
				if (h.second) names[h.first] = h.second;
				else names.erase(h.first);
			}
			hidden.pop_back();
		} else if (w == ".reg") {
			at++;
			declare_registers();
		} else if (w == ".shared" || w == ".extern") {
			bool outside = w == ".extern";
			at += outside ? 2 : 1;
			Variable v = declaration();
			expect(";");
			if (outside) {
				dynamic.insert(v.name);
			} else if (now->entry) {
				place_shared(v, &now->shared_end);
				own_shared[v.name] = v;
			}
		} else if (w == ".local") {
			at++;
			Variable v = declaration();
			expect(";");
			head += format("\tLocals<%zu> %s;\n", v.bytes, identifier(v.name).c_str());
			locals[v.name] = v;
		} else if (w == ".param") {
			at++;
			Variable v = declaration();
			expect(";");
			// One block of bytes does for all parameters of a name: a call takes what was stored last.
			auto old = call_params.find(v.name);
			if (old == call_params.end()) head += format("\talignas(16) char %s[256];\n", identifier(v.name).c_str());
			if (v.bytes > 256) die("the parameter %s has %zu bytes", v.name.c_str(), v.bytes);
			call_params[v.name] = v;
		} else if (w == ".pragma") {
			while (next() != ";") {}
		} else if (w == ".loc") {
			for (const int line = tokens[at].line; at < tokens.size() && tokens[at].line == line;) at++;
		} else if (w.empty()) {
			die("the file ends in a function");
		} else if (w[0] == '.') {
			die("the directive %s is not known", w.c_str());
		} else if (word(1) == ":") {
			at += 2;
			if (!labels.insert(w).second) die("a second label %s", w.c_str());
			out += identifier(w) + ":;\n";
		} else {
			statement(&out);
		}
	}
	for (auto &l : labels_used)
		if (!labels.count(l.first)) line_now = l.second, die("the label %s is nowhere", l.first.c_str());
	for (auto &r : registers)
		if (r.read && !r.written) line_now = r.line, die("the register %s is read, but nothing writes it", r.name.c_str());

	for (auto &v : own_names) {
		const Variable &s = own_shared[v];
		now->ranges += format("%sinside(a, n, %zu, %zu)", now->ranges.empty() ? "" : " || ", s.offset, s.bytes);
		now->shared_bytes += s.bytes;
	}
	if (uses_dynamic) now->ranges += format("%sinside_dynamic(a, n)", now->ranges.empty() ? "" : " || ");
	if (!now->entry) now->ranges = "inside_any(a, n)"; // addresses of its caller
	if (now->ranges.empty()) now->ranges = "false";
	if (out.find("carry") != string::npos) head += "\tbool carry = true, no_carry; (void)carry, (void)no_carry;\n";
	if (out.find("copies.") != string::npos) head += "\tCopies copies;\n";
	now->body = head + out;
}

// limits reads what stands between the parameters and the body.
void Translator::limits(Function &f) {
	while (word()[0] == '.') {
		const string w = next();
		size_t n[3] = {1, 1, 1};
		if (w == ".maxntid" || w == ".reqntid" || w == ".minnctapersm" || w == ".maxnreg") {
			n[0] = strtoul(next().c_str(), nullptr, 10);
			for (int i = 1; i < 3 && word() == ","; i++) at++, n[i] = strtoul(next().c_str(), nullptr, 10);
			if (w == ".maxntid") f.max_threads = n[0] * n[1] * n[2];
			if (w == ".reqntid") memcpy(f.required, n, sizeof n);
		} else if (w != ".noreturn") {
			die("the directive %s is not known", w.c_str());
		}
	}
}

void Translator::function(bool entry) {
	Function f;
	size_t bytes;
	f.entry = entry;
	if (word() == "(") f.results = parameters(&bytes);
	f.name = next();
	if (word() == "(") f.params = parameters(&f.param_bytes);
	limits(f);
	if (!functions.count(f.name)) order.push_back(f.name);
	if (word() == ";") {
		at++;
		functions.insert({f.name, f});
		return;
	}
	auto old = functions.find(f.name);
	if (old != functions.end() && !old->second.declared_only) die("a second %s", f.name.c_str());
	f.declared_only = false;
	now = &(functions[f.name] = f);
	body();
}

void Translator::module() {
	find_common();
	while (at < tokens.size()) {
		const string w = next();
		if (w == ".version" || w == ".address_size") {
			at++;
		} else if (w == ".target") {
			for (at++; word() == ","; at++) at++;
		} else if (w == ".visible" || w == ".weak") {
		} else if (w == ".extern" && word() == ".shared") {
		} else if (w == ".shared") { // find_common has it
			declaration();
			expect(";");
		} else if (w == ".file") {
			for (const int line = line_now; at < tokens.size() && tokens[at].line == line;) at++;
		} else if (w == ".entry" || w == ".func") {
			function(w == ".entry");
		} else {
			die("%s is not known here", w.c_str());
		}
	}
	for (auto &f : functions)
		if (f.second.declared_only) line_now = 0, die("the function %s is only declared", f.first.c_str());
	for (bool changed = true; changed;) { // what a function does, its callers do
		changed = false;
		for (auto &f : functions)
			for (auto &c : f.second.calls) {
				Function &g = functions[c];
				if (g.meets && !f.second.meets) f.second.meets = changed = true;
				if (g.shared_bytes && f.second.entry && f.second.shared_end < common_end) f.second.shared_end = common_end;
			}
	}
}

void Translator::print() {
	const string file = base_name(file_name);
	cout << "// Made by ptx2c from " << file << ".\n#define PTX_FILE \"" << file << "\"\n#include \"emu.h\"\n\nnamespace {\n\n";
	auto signature = [](const Function &f) {
		string list = f.entry ? "const char *params" : "";
		for (auto &r : f.results) list += (list.empty() ? "char *" : ", char *") + identifier(r.name);
		if (!f.entry)
			for (auto &p : f.params) list += (list.empty() ? "const char *" : ", const char *") + identifier(p.name);
		return "void ptx_" + identifier(f.name) + "(" + list + ")";
	};
	for (auto &n : order) {
		const Function &f = functions[n];
		cout << "INLINE bool own_" << identifier(n) << "(u32 a, u32 n) { return " << f.ranges << "; }\n" << signature(f) << ";\n";
	}
	string table;
	int kernels = 0;
	for (auto &n : order) {
		const Function &f = functions[n];
		const string c = identifier(n);
		cout << "\n" << signature(f) << " {\n" << f.body << "}\n";
		if (!f.entry) continue;
		kernels++;
		cout << "const SimParam params_" << c << "[] = {";
		for (auto &p : f.params) {
			const string what = p.array ? format(".%s[%zu]", p.type.c_str(), p.bytes / bytes_of(p.type)) : "." + p.type;
			cout << format("{%zu, %zu, '%c', \"%s\"}, ", p.offset, p.bytes, p.pointer ? 'p' : p.array ? 'b' : is_float(p.type) ? 'f' : 'i', what.c_str());
		}
		cout << "{0, 0, 0, 0}};\n";
		table += format("\t{\"%s\", run_threads<ptx_%s>, params_%s, %zu, %zu, %s, %zu, %zu, %zu, {%zu, %zu, %zu}},\n", n.c_str(), c.c_str(), c.c_str(), f.params.size(), f.param_bytes,
			f.meets ? "true" : "false", f.shared_bytes, f.shared_end, f.max_threads, f.required[0], f.required[1], f.required[2]);
	}
	cout << "\nconst SimKernel kernels[] = {\n" << table << "\t{}};\n"
	     << format("Registration registration(PTX_FILE, 0x%llxull, kernels, %d);\n\n} // namespace\n", (unsigned long long)sim_hash(text.data(), text.size()), kernels);
}

static string read_file(const char *name) {
	ifstream in(name);
	if (!in) {
		perror(name);
		exit(1);
	}
	file_name = name;
	return string((istreambuf_iterator<char>(in)), istreambuf_iterator<char>());
}

int main(int argc, char **argv) {
	const bool untested = argc > 2 && !strcmp(argv[1], "--untested");
	if (argc != 2 && !untested) {
		fprintf(stderr, "usage: ptx2c FILE.ptx >FILE.cpp, or ptx2c --untested FILE.ptx ...\n");
		return 2;
	}
	read_table();
	for (int i = untested ? 2 : 1; i < argc; i++) {
		Translator t(read_file(argv[i]));
		t.module();
		if (!untested) t.print();
	}
	if (!untested) return 0;
	int missing = 0;
	for (auto &f : forms) {
		const Row &row = rows[f.second.row];
		if (used.insert(to_string(f.second.row)).second && f.second.chosen.empty()) printf("%s\n", row.name), missing++;
		for (size_t g = 0; g < f.second.chosen.size(); g++)
			if (used.insert(format("%d %zu %s", f.second.row, g, f.second.chosen[g].c_str())).second) printf("%s with \"%s\"\n", row.name, f.second.chosen[g].c_str()), missing++;
	}
	return missing != 0;
}
