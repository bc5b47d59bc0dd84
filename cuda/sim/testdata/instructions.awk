# Makes a PTX module of instructions.txt: an entry for each instruction, whose thread i takes the operands of the i-th
# line with that instruction, 8 bytes each and 5 a line, and leaves its results, 8 bytes each and 2 a line. An operand
# behind # is part of the instruction.
function bits(token) {
	sub(/^~/, "", token)
	return token ~ /^NaN/ ? substr(token, 5) + 0 : length(token) == 1 ? 1 : 4 * length(token)
}
function register(n, k) { return (n == 1 ? "%p" : n == 16 ? "%h" : n == 32 ? "%r" : "%d") k }

BEGIN { print ".version 7.8\n.target sm_80\n.address_size 64" }
/^#/ || NF == 0 { next }
{
	name = $1
	entry = "t_" name
	for (i = 2; i <= NF; i++) {
		if ($i == "=") equals = i
		if ($i ~ /^#/) entry = entry "_" substr($i, 2)
	}
	if (seen[entry]++) next
	gsub(/\./, "_", entry)
	print ".visible .entry " entry "(.param .u64 in, .param .u64 out) {"
	print "\t.reg .pred %p<8>;\n\t.reg .b16 %h<8>;\n\t.reg .b32 %r<9>;\n\t.reg .b64 %d<12>;"
	print "\tld.param.u64 %d8, [in];\n\tld.param.u64 %d9, [out];"
	print "\tcvta.to.global.u64 %d8, %d8;\n\tcvta.to.global.u64 %d9, %d9;"
	print "\tmov.u32 %r8, %tid.x;"
	print "\tmul.wide.u32 %d10, %r8, 40;\n\tadd.s64 %d8, %d8, %d10;"
	print "\tmul.wide.u32 %d11, %r8, 16;\n\tadd.s64 %d9, %d9, %d11;"
	arguments = ""
	for (i = 2; i < equals; i++) {
		if ($i ~ /^#/) {
			arguments = arguments ", 0x" substr($i, 2)
			continue
		}
		n = bits($i)
		k = i - 2
		flag = (i == 2 && name ~ /^(addc|subc|madc)/)
		if (n == 1) {
			print "\tld.global.u32 %r" k ", [%d8+" 8 * k "];"
			if (!flag) print "\tsetp.ne.s32 %p" k ", %r" k ", 0;"
			# the carry flag: 1 + ffffffff has one, and so has 0 - 1
			else if (name ~ /^subc/) print "\tsub.cc.u32 %r7, 0, %r" k ";"
			else print "\tadd.cc.u32 %r7, %r" k ", -1;"
		} else print "\tld.global.b" n " " register(n, k) ", [%d8+" 8 * k "];"
		if (!flag) arguments = arguments ", " register(n, k)
	}
	n = bits($(equals + 1))
	print "\t" name " " register(n, 6) arguments ";"
	if (name ~ /\.cc\./) {
		if (name ~ /^sub/) print "\tsubc.u32 %r5, 0, 0;\n\tneg.s32 %r5, %r5;"
		else print "\taddc.u32 %r5, 0, 0;"
		print "\tst.global.u32 [%d9+8], %r5;"
	}
	if (n == 1) print "\tselp.u32 %r6, 1, 0, %p6;\n\tst.global.u32 [%d9], %r6;"
	else print "\tst.global.b" n " [%d9], " register(n, 6) ";"
	print "\tret;\n}"
}
