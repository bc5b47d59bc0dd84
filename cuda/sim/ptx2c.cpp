// Translates a PTX module to C++ that the stand-in driver runs:
//
//	ptx2c FILE.ptx >FILE.cpp
//	ptx2c --untested FILE.ptx ...     lists the instructions of instructions.inc that the files do not use
//
// A register becomes a variable, a label a label, a branch a goto, and an instruction the call of a function of emu.h:
// most by the table instructions.inc, those with addresses, vectors or a warp behind them by a function here. An entry
// becomes a function of one thread, and a row of the table by which the driver knows the module.
//
//	add.s32 %r3, %r1, %r2;      put(_r3, add<s32>(as<s32>(_r1), as<s32>(_r2)));
//	@%p1 bra $L__BB0_2;         if (_p1) { goto _L__BB0_2; }
//	st.shared.f32 [%r4], %f1;   { char *const m = shared<f32, 1, own_adam>(_r4, SIM_WRITE, 40); store<f32>(m, 0, _f1); }
//
// What is not known, be it an instruction, a modifier, a directive, a register or a name, is an error with its line,
// never a guess, and so is a register that is read and nowhere written. What the assembler may choose is not chosen
// so as to hide anything: mul and add that are not .rn stay two roundings, registers start as NaN or 0xdeadbeef.
#include <ctype.h>
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
#include <sstream>
#include <string>
#include <vector>

#include "cell.h"

using namespace std;
typedef vector<string> Words;

// ---- Text ----

// text puts words and numbers together.
template <class... A> static string text(const A &...parts) {
	ostringstream s;
	(s << ... << parts);
	return s.str();
}

static string file_name;
static int line_now; // of the statement in work

template <class... A> [[noreturn]] static void die(const A &...parts) {
	cerr << file_name << ":" << line_now << ": " << text(parts...) << "\n";
	exit(1);
}

static bool is_digit(char c) { return isdigit((unsigned char)c); }
static bool in_name(char c) { return isalnum((unsigned char)c) || strchr("._$%", c); }
static string base_name(const string &path) { return path.substr(path.rfind('/') + 1); }

static Words split(const string &s, char by) {
	Words out(1);
	for (char c : s) {
		if (c == by) out.emplace_back();
		else out.back() += c;
	}
	return out;
}

// is_one_of says whether a list of words, apart by spaces, has this one.
static bool is_one_of(const string &word, const string &list) {
	return (" " + list + " ").find(" " + word + " ") != string::npos;
}

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
			while (i < t.size() && (in_name(t[i]) || (t[i] == ':' && (t[i + 1] == ':' || t[i - 1] == ':')))) i++;
		} else if (c == '-' && i < t.size() && is_digit(t[i])) {
			while (i < t.size() && isalnum((unsigned char)t[i])) i++;
		}
		out.push_back({t.substr(b, i - b), line});
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
static set<string> used; // what of the table was used: rows, and "row group alternative"

// expand enters all names that a pattern stands for.
static void expand(int row, const char *pattern, const string &name, Words chosen) {
	const char *open = strchr(pattern, '{');
	if (!open) {
		if (!forms.insert({name + pattern, {row, chosen}}).second) die(name, pattern, " is in the table twice");
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
		} else if (code.compare(i, 5, "%line") == 0) {
			out += to_string(line_now);
			i += 4;
		} else if (c == '%') {
			out += operands[code[++i] - '1'];
		} else {
			out += c;
		}
	}
	return out;
}

// ---- Types and names ----

static int bytes_of(const string &type) {
	const char *known = "b8 u8 s8 b16 u16 s16 b32 u32 s32 f32 b64 u64 s64 f64";
	if (!is_one_of(type, known)) die("the type .", type, " is not known");
	return atoi(type.c_str() + 1) / 8;
}
static bool is_float(const string &type) { return type[0] == 'f'; }
// variable_type is the C++ type of a register: bits are unsigned.
static string variable_type(string type) {
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
	size_t offset; // in shared memory, or in a list of parameters
	bool pointer;  // a parameter that is used as an address of global memory
};

struct Function {
	string name;
	bool entry = false, declared_only = true;
	vector<Variable> params, results;
	size_t param_bytes = 0;
	size_t max_threads = 0, required[3] = {0, 0, 0};
	string body;             // C++
	string ranges;           // whether n bytes from a on are shared memory of its own, in C++
	size_t shared_bytes = 0; // of the static variables that it uses
	size_t shared_end = 0;
	bool meets = false;      // has instructions that threads meet in
	set<string> calls;
};

// Operand is a word, a vector {a, b}, an address [a+b] or a list (a, b). Predicates may be negated, and second results
// stand behind a bar.
struct Operand {
	enum Kind { WORD, VECTOR, ADDRESS, LIST } kind = WORD;
	string word, second;
	bool negated = false;
	Words list;
	long offset = 0;
};

struct Register {
	string name, type, variable;
	int line; // of its first use
	bool read = false, written = false;
};

// Statement is an instruction: its name, the name cut at the dots, and its operands.
struct Statement {
	string name;
	Words parts;
	vector<Operand> o;

	const string &op() const { return parts[0]; }
	const string &type() const { return parts.back(); }
	bool has(const string &modifier) const {
		for (size_t i = 1; i < parts.size(); i++)
			if (parts[i] == modifier) return true;
		return false;
	}
	void need(size_t n) const {
		if (o.size() != n) die(o.size(), " operands where ", n, " are due");
	}
	// only checks that behind the name there are none but these modifiers, and a type.
	void only(const string &modifiers) const {
		for (size_t i = 1; i + 1 < parts.size(); i++)
			if (!is_one_of(parts[i], modifiers)) die(op(), " with .", parts[i], " is not known");
		if (parts.size() < 2) die(op(), " without a type");
	}
	[[noreturn]] void unknown() const { die("the instruction ", name, " is not known"); }
};

// ---- The translator ----

class Translator {
public:
	explicit Translator(const string &text) : tokens(tokens_of(text)), ptx(text) {}
	void module();
	void print();

private:
	vector<Token> tokens;
	string ptx;
	size_t at = 0;

	map<string, Function> functions;
	vector<string> order;
	map<string, Variable> common; // shared variables of the module and of its functions, at one place for all
	size_t common_end = 0;
	set<string> dynamic;          // names of dynamic shared memory

	// Of the function in work.
	Function *now = nullptr;
	deque<Register> registers;
	map<string, Register *> names; // that are known at this place
	struct Family { string type; int count; };
	map<string, Family> families; // "%r" of %r<8>
	map<string, Variable> own_shared, locals, call_params;
	vector<map<string, Register *>> hidden; // of each inner block: names that it declares, and what they were before
	map<string, int> labels_used;           // with a line
	set<string> labels;
	map<string, string> loaded_from; // register -> parameter
	set<string> own_names;           // shared variables that the function names
	bool uses_dynamic = false;
	string head; // C++ of its declarations
	int serial = 0;

	// Reading
	const string &word(size_t k = 0) {
		static const string none;
		return at + k < tokens.size() ? tokens[at + k].s : none;
	}
	const string &next() {
		if (at >= tokens.size()) die("the file ends too early");
		line_now = tokens[at].line;
		return tokens[at++].s;
	}
	void expect(const string &s) {
		if (next() != s) die(tokens[at - 1].s, " where ", s, " is due");
	}
	void skip_line() {
		for (const int line = tokens[at - 1].line; at < tokens.size() && tokens[at].line == line;) at++;
	}
	Variable declaration();
	vector<Variable> parameters(size_t *bytes);
	Operand operand();

	// Declarations
	void place_shared(Variable &v, size_t *end);
	void find_common();
	void function(bool entry);
	void limits(Function &f);
	void body();
	void start_body();
	void end_body(const string &statements);
	bool directive();
	void declare_registers();
	void end_block();
	string statement();

	// Expressions in C++
	Register *new_register(const string &name, const string &type, const string &variable);
	Register &find_register(const string &name);
	string get(const string &word, const string &type);
	string get(const Operand &o, const string &type);
	string assign(const string &name, const string &value);
	string number(const string &word, const string &type);
	string special(const string &word, const string &type);
	string address(const Operand &a, const string &type);
	string place(const string &space, const string &type, size_t n, const Operand &a, const string &how);
	string own() const { return "own_" + identifier(now->name); }

	// Instructions in C++
	string instruction(const Statement &s);
	string by_table(const Form &f, const Statement &s);
	string branch(const Statement &s);
	string call(const Statement &s);
	string move(const Statement &s);
	string access(const Statement &s);
	string parameter_access(const Statement &s, const Words &values, const Operand &a);
	string to_address_space(const Statement &s);
	string atomic(const Statement &s);
	string shuffle(const Statement &s);
	string vote(const Statement &s);
	string matrix(const Statement &s);
	string copy(const Statement &s);
};

// ---- Reading ----

// declaration reads "[.align n] .type [.ptr ...] name[n]".
Variable Translator::declaration() {
	Variable v{};
	for (;; at++) {
		const string &w = word();
		if (w == ".align") v.align = atoi(word(1).c_str()), at++;
		else if (is_one_of(w, ".ptr .global .const .shared .local")) continue; // what a pointer points to
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
			if (!is_digit(n[0]) && n[0] != '-') die("the offset ", n);
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

// ---- Operands ----

Register *Translator::new_register(const string &name, const string &type, const string &variable) {
	registers.push_back({name, type, variable, line_now});
	head += text("\t", type, " ", variable, " = junk<", type, ">();\n");
	return &registers.back();
}

Register &Translator::find_register(const string &name) {
	auto r = names.find(name);
	if (r != names.end()) return *r->second;
	size_t n = name.size();
	while (n > 1 && is_digit(name[n - 1])) n--;
	auto f = families.find(name.substr(0, n));
	if (f == families.end() || n == name.size() || atoi(name.c_str() + n) >= f->second.count)
		die("the register ", name, " is not declared");
	return *(names[name] = new_register(name, f->second.type, identifier(name)));
}

string Translator::number(const string &w, const string &type) {
	if (w[0] == '0' && strchr("fF", w[1]) && w.size() == 10)
		return text("as<", type, ">(bits<f32>(u32(0x", w.substr(2), "u)))");
	if (w[0] == '0' && strchr("dD", w[1]) && w.size() == 18)
		return text("as<", type, ">(bits<f64>(u64(0x", w.substr(2), "ull)))");
	if (is_float(type)) die("the number ", w, " as a .", type);
	char *end;
	uint64_t v = w[0] == '-' ? uint64_t(strtoll(w.c_str(), &end, 0)) : strtoull(w.c_str(), &end, 0);
	if (*end && strcmp(end, "U")) die("the number ", w);
	if (type == "pred") return v ? "true" : "false";
	return text(type, "(0x", hex, v, "ull)");
}

// special is a register that the machine has, empty where it is none of them.
string Translator::special(const string &w, const string &type) {
	static const map<string, string> words = {{"%laneid", "sim_lane()"}, {"%warpid", "sim_warp()"},
		{"%lanemask_eq", "1u << sim_lane()"}, {"%lanemask_lt", "(1u << sim_lane()) - 1"},
		{"%lanemask_le", "(2u << sim_lane()) - 1"}, {"%lanemask_gt", "~((2u << sim_lane()) - 1)"},
		{"%lanemask_ge", "~((1u << sim_lane()) - 1)"}, {"%dynamic_smem_size", "sim_dynamic_bytes"}};
	static const map<string, string> triples = {{"%tid", "sim_thread"}, {"%ctaid", "sim_block"},
		{"%ntid", "sim_block_dim"}, {"%nctaid", "sim_grid_dim"}};
	if (w == "%globaltimer") return text("as<", type, ">(sim_nanoseconds())");
	auto s = words.find(w);
	if (s != words.end()) return text("as<", type, ">(u32(", s->second, "))");
	size_t dot = w.find('.');
	if (dot == string::npos) return "";
	auto t = triples.find(w.substr(0, dot));
	if (t == triples.end() || !is_one_of(w.substr(dot), ".x .y .z")) die("the special register ", w, " is not known");
	return text("as<", type, ">(u32(", t->second, w.substr(dot), "))");
}

// get is a word read as a type.
string Translator::get(const string &w, const string &type) {
	if (is_digit(w[0]) || w[0] == '-') return number(w, type);
	if (w[0] == '%') {
		string s = special(w, type);
		if (!s.empty()) return s;
	}
	auto shared = own_shared.find(w);
	if (shared == own_shared.end() && common.count(w)) shared = own_shared.insert({w, common[w]}).first;
	if (shared != own_shared.end()) {
		own_names.insert(w);
		return text(type, "(", shared->second.offset, ")");
	}
	if (dynamic.count(w)) {
		uses_dynamic = true;
		return type + "(sim_dynamic_at)";
	}
	if (locals.count(w)) return text(type, "(", identifier(w), ".address())");
	if (w[0] != '%' && !names.count(w)) die("the name ", w, " is not known");
	Register &r = find_register(w);
	r.read = true;
	return r.type == type ? r.variable : text("as<", type, ">(", r.variable, ")");
}

string Translator::get(const Operand &o, const string &type) {
	if (o.kind != Operand::WORD || !o.second.empty()) die("an operand that is no plain one");
	if (o.negated && type != "pred") die("! before an operand that is no predicate");
	return (o.negated ? "!" : "") + get(o.word, type);
}

string Translator::assign(const string &name, const string &value) {
	if (name == "_") return "(void)(" + value + ");";
	Register &r = find_register(name);
	r.written = true;
	loaded_from.erase(name);
	return text("put(", r.variable, ", ", value, ");");
}

string Translator::address(const Operand &a, const string &type) {
	if (a.kind != Operand::ADDRESS) die("an operand that is no address");
	string s = get(a.word, type);
	return a.offset ? text(s, " + ", type, "(", a.offset, ")") : s;
}

// place is where n values at an address lie on the host, checked.
string Translator::place(const string &space, const string &type, size_t n, const Operand &a, const string &how) {
	const string values = text(type, ", ", n);
	if (space == "shared")
		return text("shared<", values, ", ", own(), ">(", address(a, "u32"), ", ", how, ", ", line_now, ")");
	if (space == "local") return text("local<", values, ">(", address(a, "u64"), ", ", line_now, ")");
	return text(space, "<", values, ">(", address(a, "u64"), ", ", how, ", ", line_now, ")");
}

// ---- Instructions ----

string Translator::instruction(const Statement &s) {
	auto f = forms.find(s.name);
	if (f != forms.end()) return by_table(f->second, s);
	const string &op = s.op();
	if (op == "mov") return move(s);
	if (op == "ld" || op == "st") return access(s);
	if (op == "cvta") return to_address_space(s);
	if (op == "atom" || op == "red") return atomic(s);
	if (op == "bra") return branch(s);
	if (op == "call") return call(s);
	if (is_one_of(s.name, "ret ret.uni") || (s.name == "exit" && now->entry)) return "return;";
	if (s.name == "trap") return text("fault(SIM_ASSERT, \"trap\", ", line_now, ");");
	// Threads run one at a time: what they write is there for the others.
	if (is_one_of(s.name, "membar.cta membar.gl membar.sys fence.acq_rel.cta fence.acq_rel.gpu fence.acq_rel.sys "
			"fence.sc.cta fence.sc.gpu fence.sc.sys")) return ";";
	if (is_one_of(s.name, "bar.sync barrier.sync barrier.sync.aligned")) {
		if (s.o.size() != 1 || s.o[0].word != "0") die("a barrier of a part of the block, or another than 0");
		now->meets = true;
		return text("sim_barrier(PTX_FILE, ", line_now, ");");
	}
	if (s.name == "bar.warp.sync") {
		s.need(1);
		now->meets = true;
		return text("sim_exchange(0, ", get(s.o[0], "u32"), ", true, PTX_FILE, ", line_now, ");");
	}
	if (op == "shfl") return shuffle(s);
	if (op == "vote") return vote(s);
	if (op == "ldmatrix" || op == "mma") return matrix(s);
	if (op == "cp") return copy(s);
	s.unknown();
}

string Translator::by_table(const Form &f, const Statement &s) {
	const Row &row = rows[f.row];
	const Words types = split(row.operands, ' ');
	s.need(types.size() + 1);
	bool ftz = false, sat = false;
	used.insert(to_string(f.row));
	for (size_t g = 0; g < f.chosen.size(); g++) {
		used.insert(text(f.row, " ", g, " ", f.chosen[g]));
		ftz |= f.chosen[g] == ".ftz";
		sat |= f.chosen[g] == ".sat";
	}
	Words values;
	for (size_t i = 0; i < types.size(); i++) {
		values.push_back(get(s.o[i + 1], fill(types[i], f.chosen, {})));
		if (ftz) values.back() = "flush(" + values.back() + ")";
	}
	string value = fill(row.code, f.chosen, values);
	if (sat) value = "saturate(" + value + ")";
	if (ftz) value = "flush(" + value + ")";
	if (s.o[0].kind != Operand::WORD || !s.o[0].second.empty()) die("the destination of ", s.name);
	return assign(s.o[0].word, value);
}

string Translator::branch(const Statement &s) {
	if (s.name != "bra" && s.name != "bra.uni") s.unknown();
	s.need(1);
	labels_used.insert({s.o[0].word, line_now});
	return "goto " + identifier(s.o[0].word) + ";";
}

// Parameters and results of a call are blocks of bytes.
string Translator::call(const Statement &s) {
	const vector<Operand> &o = s.o;
	const bool result = o.size() > 1 && o[0].kind == Operand::LIST && o[1].kind == Operand::WORD;
	if (!is_one_of(s.name, "call call.uni") || o.size() < size_t(result) + 1 || o[result].kind != Operand::WORD)
		die("this call is not known");
	const string &name = o[result].word;
	auto f = functions.find(name);
	if (f == functions.end() || f->second.entry) die("the function ", name, " is not known");
	vector<Variable> formal = f->second.results;
	formal.insert(formal.end(), f->second.params.begin(), f->second.params.end());
	Words args = result ? o[0].list : Words();
	if (args.size() != f->second.results.size()) die(name, " gives ", f->second.results.size(), " results");
	if (o.size() > size_t(result) + 1) args.insert(args.end(), o[result + 1].list.begin(), o[result + 1].list.end());
	if (args.size() != formal.size()) die(name, " takes ", f->second.params.size(), " parameters");
	string list;
	for (size_t i = 0; i < args.size(); i++) {
		auto p = call_params.find(args[i]);
		if (p == call_params.end()) die("the parameter ", args[i], " is not known");
		if (p->second.bytes != formal[i].bytes)
			die(args[i], " has ", p->second.bytes, " bytes, the parameter of ", name, " ", formal[i].bytes);
		list += (list.empty() ? "" : ", ") + identifier(args[i]);
	}
	now->calls.insert(name);
	return text("ptx_", identifier(name), "(", list, ");");
}

string Translator::move(const Statement &s) {
	s.need(2);
	s.only("");
	const Operand &to = s.o[0], &from = s.o[1];
	if (s.type() != "pred") bytes_of(s.type());
	if (to.kind != Operand::VECTOR && from.kind != Operand::VECTOR) {
		if (to.kind != Operand::WORD || !to.second.empty()) die("the destination of mov");
		return assign(to.word, get(from, s.type()));
	}
	const Words &parts = to.kind == Operand::VECTOR ? to.list : from.list;
	const int bits = 8 * bytes_of(s.type()), n = bits / int(parts.size());
	if (n * int(parts.size()) != bits || n < 8) die("a .", s.type(), " of ", parts.size(), " parts");
	const string whole = text("u", bits), part = text("u", n);
	string c;
	if (to.kind == Operand::VECTOR) {
		for (size_t i = 0; i < parts.size(); i++) c += " " + assign(parts[i], text(part, "(v >> ", i * n, ")"));
		return text("{ const ", whole, " v = ", get(from, whole), ";", c, " }");
	}
	for (size_t i = 0; i < parts.size(); i++)
		c += text(i ? " | " : "", whole, "(", get(parts[i], part), ") << ", i * n);
	return assign(to.word, text(whole, "(", c, ")"));
}

string Translator::access(const Statement &s) {
	s.need(2);
	s.only("global shared local param v2 v4 nc volatile ca cg cs lu cv wb wt");
	const bool load = s.op() == "ld";
	const Operand &a = s.o[load ? 1 : 0], &v = s.o[load ? 0 : 1];
	bytes_of(s.type());
	string space = "generic";
	for (const char *known : {"global", "shared", "local", "param"})
		if (s.has(known)) space = known;
	const Words values = v.kind == Operand::VECTOR ? v.list : Words{v.word};
	if (values.size() != (s.has("v2") ? 2 : s.has("v4") ? 4 : 1)) die("a vector of ", values.size());
	if (space == "param") return parameter_access(s, values, a);
	const char *how = load ? "SIM_READ" : "SIM_WRITE";
	string c = text("{ char *const m = ", place(space, s.type(), values.size(), a, how), ";");
	for (size_t i = 0; i < values.size(); i++) {
		if (load) c += " " + assign(values[i], text("load<", s.type(), ">(m, ", i, ")"));
		else c += text(" store<", s.type(), ">(m, ", i, ", ", get(values[i], s.type()), ");");
	}
	return c + " }";
}

// parameter_access is ld.param and st.param: of the function's own parameters, or of those that it calls another with.
string Translator::parameter_access(const Statement &s, const Words &values, const Operand &a) {
	const bool load = s.op() == "ld";
	const Variable *p = nullptr;
	string where;
	auto mine = call_params.find(a.word);
	if (mine != call_params.end()) p = &mine->second, where = identifier(a.word);
	for (auto &q : load ? now->params : now->results)
		if (q.name == a.word) p = &q, where = now->entry ? text("params + ", q.offset) : identifier(q.name);
	if (!p) die("the parameter ", a.word, " is not known");
	const size_t n = bytes_of(s.type());
	if (a.offset < 0 || a.offset + n * values.size() > p->bytes || (!p->array && n != p->bytes))
		die("the parameter ", p->name, ", .", p->type, ", is used as .", s.type());
	string c;
	for (size_t i = 0; i < values.size(); i++) {
		const string from = text(where, " + ", a.offset + i * n);
		if (load) c += assign(values[i], text("load<", s.type(), ">(", from, ")")) + " ";
		else c += text("store<", s.type(), ">(", from, ", 0, ", get(values[i], s.type()), "); ");
	}
	if (load && now->entry && values.size() == 1 && n == 8) loaded_from[values[0]] = p->name;
	return c;
}

// Generic addresses are the host's, and so are those of global and of local memory.
string Translator::to_address_space(const Statement &s) {
	s.need(2);
	s.only("to global local shared");
	if (s.type() != "u64" || s.parts.size() != (s.has("to") ? 4 : 3)) die("this cvta is not known");
	const string &to = s.o[0].word;
	if (s.has("shared") && s.has("to")) return assign(to, "shared_of_generic(" + get(s.o[1], "u64") + ")");
	if (s.has("shared")) return assign(to, "generic_of_shared(" + get(s.o[1], "u32") + ")");
	auto from = loaded_from.find(s.o[1].word);
	if (s.has("global") && from != loaded_from.end())
		for (auto &p : now->params)
			if (p.name == from->second) p.pointer = true;
	return assign(to, get(s.o[1], "u64"));
}

string Translator::atomic(const Statement &s) {
	struct Operation { const char *name, *types, *value; };
	static const Operation operations[] = {
		{"add", "u32 s32 u64", "add<%1>(old, x)"}, {"add", "f32 f64", "old + x"},
		{"min", "u32 s32 u64 s64", "least<%1>(old, x)"}, {"max", "u32 s32 u64 s64", "greatest<%1>(old, x)"},
		{"and", "b32 b64", "bit_and<%1>(old, x)"}, {"or", "b32 b64", "bit_or<%1>(old, x)"},
		{"xor", "b32 b64", "bit_xor<%1>(old, x)"}, {"inc", "u32", "old >= x ? 0 : old + 1"},
		{"dec", "u32", "old == 0 || old > x ? x : old - 1"}, {"exch", "b32 b64", "x"},
		{"cas", "b32 b64", "old == x ? y : old"}};
	s.only("global shared relaxed acquire release acq_rel cta gpu sys add min max and or xor exch cas inc dec");
	const bool red = s.op() == "red", cas = s.has("cas");
	const string &type = s.type(), space = s.has("global") ? "global" : s.has("shared") ? "shared" : "generic";
	for (auto &o : operations) {
		if (!s.has(o.name) || !is_one_of(type, o.types)) continue;
		if (red && (cas || s.has("exch"))) break;
		s.need((red ? 2 : 3) + cas);
		const size_t a = red ? 0 : 1;
		const string m = place(space, type, 1, s.o[a], "SIM_ATOMIC");
		string f = text("[&](", type, " old) { const ", type, " x = ", get(s.o[a + 1], type), "; ");
		if (cas) f += text("const ", type, " y = ", get(s.o[a + 2], type), "; ");
		f += text("return ", type, "(", fill(o.value, {}, {type}), "); }");
		const string c = text("atom<", type, ">(", m, ", ", f, ")");
		return red ? "(void)" + c + ";" : assign(s.o[0].word, c);
	}
	s.unknown();
}

string Translator::shuffle(const Statement &s) {
	if (!is_one_of(s.name, "shfl.sync.up.b32 shfl.sync.down.b32 shfl.sync.bfly.b32 shfl.sync.idx.b32")) s.unknown();
	s.need(5);
	now->meets = true;
	string args = "shfl_" + s.parts[2];
	for (int i = 1; i < 5; i++) args += ", " + get(s.o[i], "u32");
	string c = text("{ bool valid; const u32 v = shuffle(", args, ", valid, ", line_now, "); ");
	c += assign(s.o[0].word, "v");
	if (!s.o[0].second.empty()) c += " " + assign(s.o[0].second, "valid");
	return c + " }";
}

string Translator::vote(const Statement &s) {
	static const map<string, string> kinds = {{"vote.sync.ballot.b32", "ballot"}, {"vote.sync.all.pred", "vote_all"},
		{"vote.sync.any.pred", "vote_any"}, {"vote.sync.uni.pred", "vote_uni"}};
	auto f = kinds.find(s.name);
	if (f == kinds.end()) s.unknown();
	s.need(3);
	now->meets = true;
	const string args = text(get(s.o[1], "pred"), ", ", get(s.o[2], "u32"), ", ", line_now);
	return assign(s.o[0].word, text(f->second, "(", args, ")"));
}

// matrix is ldmatrix and mma, whose operands are vectors.
string Translator::matrix(const Statement &s) {
	now->meets = true;
	auto values = [&](size_t i, size_t n, const char *type) {
		if (s.o[i].kind != Operand::VECTOR || s.o[i].list.size() != n)
			die("operand ", i, " of ", s.name, " is no vector of ", n);
		string c;
		for (auto &v : s.o[i].list) c += (c.empty() ? "" : ", ") + get(v, type);
		return "{" + c + "}";
	};
	auto results = [&](size_t n) {
		if (s.o[0].kind != Operand::VECTOR || s.o[0].list.size() != n)
			die("the destination of ", s.name, " is no vector of ", n);
		string c;
		for (size_t i = 0; i < n; i++) c += " " + assign(s.o[0].list[i], text("d[", i, "]"));
		return c + " }";
	};
	if (s.op() == "ldmatrix") {
		s.need(2);
		const bool trans = s.has("trans");
		const int n = s.has("x4") ? 4 : s.has("x2") ? 2 : 1;
		if (s.name != text("ldmatrix.sync.aligned.m8n8.x", n, trans ? ".trans" : "", ".shared.b16")) s.unknown();
		return text("{ u32 d[", n, "]; ldmatrix<", n, ", ", trans ? "true" : "false", ", ", own(), ">(d, ",
			address(s.o[1], "u32"), ", ", line_now, ");") + results(n);
	}
	static const map<string, string> products = {{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "mma_bf16"},
		{"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "mma_tf32"}};
	auto f = products.find(s.name);
	if (f == products.end()) s.unknown();
	s.need(4);
	return text("{ const u32 a[4] = ", values(1, 4, "u32"), ", b[2] = ", values(2, 2, "u32"), "; const f32 c[4] = ",
		values(3, 4, "f32"), "; f32 d[4]; ", f->second, "(d, a, b, c, ", line_now, ");") + results(4);
}

string Translator::copy(const Statement &s) {
	if (s.name == "cp.async.commit_group") return s.need(0), "copies.commit();";
	if (s.name == "cp.async.wait_group") return s.need(1), text("copies.wait(", atoi(s.o[0].word.c_str()), ");");
	if (s.name == "cp.async.wait_all") return s.need(0), "copies.wait_all();";
	if (!is_one_of(s.name, "cp.async.cg.shared.global cp.async.ca.shared.global")) s.unknown();
	if (s.o.size() != 3 && s.o.size() != 4) die(s.o.size(), " operands of ", s.name);
	const string &size = s.o[2].word;
	if (!is_one_of(size, s.has("cg") ? "16" : "4 8 16")) die(s.name, " of ", size, " bytes");
	return text("copies.add<", size, ", ", own(), ">(", address(s.o[0], "u32"), ", ", address(s.o[1], "u64"), ", ",
		get(s.o.back(), "u32"), ", ", line_now, ");");
}

// ---- Functions ----

// place_shared gives a variable its place behind the others, with a gap: the end of one is not the start of the next.
void Translator::place_shared(Variable &v, size_t *end) {
	const size_t align = max<size_t>(16, v.align);
	v.offset = *end ? (*end + SIM_SHARED_GAP + align - 1) / align * align : 0;
	*end = v.offset + v.bytes;
	if (*end > SIM_SHARED_MAX / 2) die(*end, " bytes of shared memory");
}

// find_common gives the shared variables that do not belong to one entry a place that all entries know, in front of
// their own.
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
			if (common.count(v.name)) die("a second ", v.name);
			place_shared(v, &common_end);
			common[v.name] = v;
		}
	}
	at = 0;
}

// declare_registers reads what follows .reg. A register of an inner block hides another of its name until the block
// ends.
void Translator::declare_registers() {
	string type = variable_type(next().substr(1));
	do {
		string name = next();
		if (word() == "<") {
			at++;
			families[name] = {type, atoi(next().c_str())};
			expect(">");
			continue;
		}
		if (hidden.back().count(name)) die("a second register ", name);
		hidden.back()[name] = names.count(name) ? names[name] : nullptr;
		names[name] = new_register(name, type, identifier(name) + (hidden.size() > 1 ? text("_", ++serial) : ""));
	} while (next() == ",");
	if (tokens[at - 1].s != ";") die(tokens[at - 1].s, " where ; is due");
}

void Translator::end_block() {
	for (auto &h : hidden.back()) {
		if (h.second) names[h.first] = h.second;
		else names.erase(h.first);
	}
	hidden.pop_back();
}

// statement reads an instruction with its guard.
string Translator::statement() {
	string guard;
	if (word() == "@") {
		at++;
		guard = text("if (", get(operand(), "pred"), ") ");
	}
	Statement s;
	s.name = next();
	s.parts = split(s.name, '.');
	const int line = line_now;
	while (word() != ";") {
		s.o.push_back(operand());
		if (word() == ",") at++;
		else if (word() != ";" && s.op() != "call") die(word(), " behind an operand of ", s.name);
	}
	at++;
	line_now = line;
	const string c = instruction(s);
	return text("\t", guard, guard.empty() ? c : "{ " + c + " }", "\n");
}

// directive reads a declaration or the like in a body; it says whether there was one.
bool Translator::directive() {
	const string w = word();
	if (w[0] != '.') return false;
	next();
	if (w == ".reg") {
		declare_registers();
	} else if (w == ".shared") { // those of functions have their place
		Variable v = declaration();
		expect(";");
		if (now->entry) place_shared(v, &now->shared_end), own_shared[v.name] = v;
	} else if (w == ".extern" && next() == ".shared") {
		dynamic.insert(declaration().name);
		expect(";");
	} else if (w == ".local") {
		Variable v = declaration();
		expect(";");
		head += text("\tLocals<", v.bytes, "> ", identifier(v.name), ";\n");
		locals[v.name] = v;
	} else if (w == ".param") {
		const size_t most = 256;
		Variable v = declaration();
		expect(";");
		if (v.bytes > most) die("the parameter ", v.name, " has ", v.bytes, " bytes");
		// One block of bytes does for all parameters of a name: a call takes what was stored last.
		if (!call_params.count(v.name)) head += text("\talignas(16) char ", identifier(v.name), "[", most, "];\n");
		call_params[v.name] = v;
	} else if (w == ".pragma") {
		while (next() != ";") {}
	} else if (w == ".loc") {
		skip_line();
	} else {
		die("the directive ", w, " is not known");
	}
	return true;
}

void Translator::start_body() {
	registers.clear(), names.clear(), families.clear(), hidden.assign(1, {});
	own_shared.clear(), own_names.clear(), locals.clear(), call_params.clear(), loaded_from.clear();
	labels.clear(), labels_used.clear();
	head.clear();
	uses_dynamic = false;
	now->shared_end = now->entry ? common_end : 0;
}

void Translator::body() {
	start_body();
	string out;
	expect("{");
	while (!hidden.empty()) {
		if (at >= tokens.size()) die("the file ends in a function");
		line_now = tokens[at].line;
		const string w = word();
		if (w == "{") {
			at++;
			hidden.emplace_back();
		} else if (w == "}") {
			at++;
			end_block();
		} else if (word(1) == ":") {
			at += 2;
			if (!labels.insert(w).second) die("a second label ", w);
			out += identifier(w) + ":;\n";
		} else if (!directive()) {
			out += statement();
		}
	}
	end_body(out);
}

void Translator::end_body(const string &statements) {
	for (auto &l : labels_used)
		if (!labels.count(l.first)) line_now = l.second, die("the label ", l.first, " is nowhere");
	for (auto &r : registers)
		if (r.read && !r.written) line_now = r.line, die("the register ", r.name, " is read, but nothing writes it");

	auto range = [&](const string &test) { now->ranges += (now->ranges.empty() ? "" : " || ") + test; };
	for (auto &v : own_names) {
		range(text("inside(a, n, ", own_shared[v].offset, ", ", own_shared[v].bytes, ")"));
		now->shared_bytes += own_shared[v].bytes;
	}
	if (uses_dynamic) range("inside_dynamic(a, n)");
	if (!now->entry) now->ranges = "inside_any(a, n)"; // it may be given addresses of its caller's
	if (now->ranges.empty()) now->ranges = "false";
	if (statements.find("carry") != string::npos)
		head += "\tbool carry = true, no_carry; (void)carry, (void)no_carry;\n";
	if (statements.find("copies.") != string::npos) head += "\tCopies copies;\n";
	now->body = head + statements;
}

// limits reads what stands between the parameters and the body.
void Translator::limits(Function &f) {
	while (word()[0] == '.') {
		const string w = next();
		if (w == ".noreturn") continue;
		if (!is_one_of(w, ".maxntid .reqntid .minnctapersm .maxnreg")) die("the directive ", w, " is not known");
		size_t n[3] = {strtoul(next().c_str(), nullptr, 10), 1, 1};
		for (int i = 1; i < 3 && word() == ","; i++) at++, n[i] = strtoul(next().c_str(), nullptr, 10);
		if (w == ".maxntid") f.max_threads = n[0] * n[1] * n[2];
		if (w == ".reqntid") memcpy(f.required, n, sizeof n);
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
	if (old != functions.end() && !old->second.declared_only) die("a second ", f.name);
	f.declared_only = false;
	now = &(functions[f.name] = f);
	body();
}

// ---- Modules ----

void Translator::module() {
	find_common();
	while (at < tokens.size()) {
		const string w = next();
		if (w == ".version" || w == ".address_size") {
			at++;
		} else if (w == ".target") {
			for (at++; word() == ","; at++) at++;
		} else if (is_one_of(w, ".visible .weak") || (w == ".extern" && word() == ".shared")) {
			continue;
		} else if (w == ".shared") { // find_common has it
			declaration();
			expect(";");
		} else if (w == ".file") {
			skip_line();
		} else if (w == ".entry" || w == ".func") {
			function(w == ".entry");
		} else {
			die(w, " is not known here");
		}
	}
	for (auto &f : functions)
		if (f.second.declared_only) line_now = 0, die("the function ", f.first, " is only declared");
	for (bool changed = true; changed;) { // what a function does, its callers do
		changed = false;
		for (auto &named : functions)
			for (auto &c : named.second.calls) {
				Function &caller = named.second, &called = functions[c];
				if (called.meets && !caller.meets) caller.meets = changed = true;
				if (called.shared_bytes && caller.entry) caller.shared_end = max(caller.shared_end, common_end);
			}
	}
}

void Translator::print() {
	auto signature = [](const Function &f) {
		string list = f.entry ? "const char *params" : "";
		for (auto &r : f.results) list += (list.empty() ? "char *" : ", char *") + identifier(r.name);
		if (!f.entry)
			for (auto &p : f.params) list += (list.empty() ? "const char *" : ", const char *") + identifier(p.name);
		return "void ptx_" + identifier(f.name) + "(" + list + ")";
	};
	const string file = base_name(file_name);
	cout << "// Made by ptx2c from " << file << ".\n#define PTX_FILE \"" << file
	     << "\"\n#include \"emu.h\"\n\nnamespace {\n\n";
	for (auto &n : order) {
		const Function &f = functions[n];
		cout << "INLINE bool own_" << identifier(n) << "(u32 a, u32 n) { return " << f.ranges << "; }\n"
		     << signature(f) << ";\n";
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
			const char kind = p.pointer ? 'p' : p.array ? 'b' : is_float(p.type) ? 'f' : 'i';
			const string type = text(".", p.type, p.array ? text("[", p.bytes / bytes_of(p.type), "]") : "");
			cout << "{" << p.offset << ", " << p.bytes << ", '" << kind << "', \"" << type << "\"}, ";
		}
		cout << "{0, 0, 0, 0}};\n";
		table += text("\t{\"", n, "\", run_threads<ptx_", c, ">, params_", c, ", ", f.params.size(), ", ",
			f.param_bytes, ", ", f.meets ? "true" : "false", ", ", f.shared_bytes, ", ", f.shared_end, ", ",
			f.max_threads, ", {",
			f.required[0], ", ", f.required[1], ", ", f.required[2], "}},\n");
	}
	cout << "\nconst SimKernel kernels[] = {\n" << table << "\t{}};\nRegistration registration(PTX_FILE, 0x" << hex
	     << sim_hash(ptx.data(), ptx.size()) << dec << "ull, kernels, " << kernels << ");\n\n} // namespace\n";
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

// print_untested lists what of the table was not used, and says how much that is.
static int print_untested() {
	int missing = 0;
	for (auto &f : forms) {
		const Row &row = rows[f.second.row];
		if (used.insert(to_string(f.second.row)).second && f.second.chosen.empty()) cout << row.name << "\n", missing++;
		for (size_t g = 0; g < f.second.chosen.size(); g++)
			if (used.insert(text(f.second.row, " ", g, " ", f.second.chosen[g])).second)
				cout << row.name << " with \"" << f.second.chosen[g] << "\"\n", missing++;
	}
	return missing;
}

int main(int argc, char **argv) {
	const bool untested = argc > 2 && !strcmp(argv[1], "--untested");
	if (argc != 2 && !untested) {
		cerr << "usage: ptx2c FILE.ptx >FILE.cpp, or ptx2c --untested FILE.ptx ...\n";
		return 2;
	}
	read_table();
	for (int i = untested ? 2 : 1; i < argc; i++) {
		Translator t(read_file(argv[i]));
		t.module();
		if (!untested) t.print();
	}
	return untested && print_untested();
}
