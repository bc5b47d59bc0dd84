package cuda

import (
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&Error{"cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
			"cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"},
		{&Error{"cuMemAlloc", 12345, "", ""}, "cuMemAlloc: CUresult (12345)"},
		{&Error{"cuStreamSynchronize", 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
			"cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED (719): unspecified launch failure; the device is lost " +
				"to this process, start it again from the last checkpoint"},
		{&OutOfMemory{Need: 3 << 30, Free: 1500 << 20, Total: 8 << 30, Owner: "the arena"},
			"out of device memory: the arena needs 3.00 GiB, and of the device's 8.00 GiB only 1.46 GiB are free"},
		{initError(&Error{"cuInit", 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}),
			"no CUDA device: the driver finds no GPU on this machine (cuInit: CUDA_ERROR_NO_DEVICE (100)); see " +
				"what nvidia-smi and CUDA_VISIBLE_DEVICES say, or leave -gpu out"},
		{initError(&Error{"cuInit", 34, "", ""}),
			"no CUDA driver: the libcuda.so.1 that was loaded is the stub of a build machine (cuInit: CUresult " +
				"(34)); install the NVIDIA driver, or leave -gpu out"},
		{initError(&Error{"cuInit", 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", ""}),
			"the NVIDIA driver's library and its kernel module are of different versions (cuInit: " +
				"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)); restart the machine or install the driver again, " +
				"or leave -gpu out"},
		{initError(&Error{"cuInit", 999, "CUDA_ERROR_UNKNOWN", "unknown error"}),
			"no CUDA driver answers (cuInit: CUDA_ERROR_UNKNOWN (999)); install the NVIDIA driver, " +
				"or leave -gpu out"},
		{checkDriver(11040),
			"the NVIDIA driver is too old: it is for CUDA 11.4, and CUDA 11.8 (driver 520) or newer is needed; " +
				"update it, or leave -gpu out"},
		{checkDriver(11080), ""},
		{checkDriver(13000), ""},
		{checkOrdinal(0, 1), ""},
		{checkOrdinal(7, 1), "device 7 is not there: this machine has 1 device, numbered from 0"},
		{checkOrdinal(-1, 2), "device -1 is not there: this machine has 2 devices, numbered from 0"},
		{checkOrdinal(2, 2), "device 2 is not there: this machine has 2 devices, numbered from 0"},
		{checkPTX("sum", []byte("//\n.version 7.8\n.target sm_80\n"), 11080, 8, 0, "GPU"), ""},
		{checkPTX("sum", []byte("//\n.version 8.4\n.target sm_80\n"), 11080, 8, 0, "GPU"),
			"the NVIDIA driver is too old: it is for CUDA 11.8, and the kernels of sum are PTX 8.4, which CUDA " +
				"12.4 brought; update it, or leave -gpu out"},
		{checkPTX("sum", []byte("\n.version 7.8\n.target sm_80, debug\n"), 12040, 7, 5, "Tesla T4"),
			"Tesla T4 has compute capability 7.5, and the kernels of sum need 8.0 or more; use a newer GPU, or " +
				"leave -gpu out"},
		{checkPTX("sum", nil, 11080, 8, 0, "GPU"), ""},
		{checkPTX("sum", []byte(".version 8.0\n.target sm_90a\n"), 12000, 9, 0, "H100"), ""},
		{checkPTX("sum", []byte(".version 8.0\n.target sm_90a\n"), 13000, 10, 0, "B200"),
			"B200 has compute capability 10.0, and the kernels of sum need 9.0 and no other; " +
				"use such a GPU, or leave -gpu out"},
		{checkPTX("sum", []byte(".version 8.8\n.target sm_100f\n"), 13000, 10, 3, "B300"), ""},
		{checkPTX("sum", []byte(".version 8.8\n.target sm_100f\n"), 13000, 12, 0, "RTX"),
			"RTX has compute capability 12.0, and the kernels of sum need 10.0 or a later 10.x; " +
				"use such a GPU, or leave -gpu out"},
	} {
		got := ""
		if c.err != nil {
			got = c.err.Error()
		}
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestPTXHead(t *testing.T) {
	for _, c := range []struct {
		version, target    string
		driver, capability int
		bound              byte
	}{
		{"7.8", "sm_80", 11080, 80, 0},
		{"6.5", "sm_52", 0, 52, 0},
		{"7.0", "sm_75,texmode_independent", 11000, 75, 0},
		{"8.0", "sm_90a", 12000, 90, 'a'},
		{"8.0", "sm_90a,", 12000, 90, 'a'},
		{"8.5", "sm_90", 12050, 90, 0},
		{"8.7", "sm_100", 12080, 100, 0},
		{"8.8", "sm_103f", 12090, 103, 'f'},
		{"9.0", "sm_120", 13000, 120, 0},
	} {
		ptx := "//\n// made by a compiler, .version 1.0\n\n" +
			".version " + c.version + "\n.target " + c.target + "\n.address_size 64\n"
		want := ptxHead{c.version, c.driver, c.capability, c.bound}
		if got := readPTXHead([]byte(ptx)); got != want {
			t.Errorf("%s %s: got %+v, expected %+v", c.version, c.target, got, want)
		}
	}
}

// Without a device, every way in gives the same reason.
func TestAvailable(t *testing.T) {
	err := Available()
	if err == nil {
		t.Skip("a device answers")
	}
	if _, e := Open(0); e == nil || e.Error() != err.Error() {
		t.Errorf("Open: %v, Available: %v", e, err)
	}
	if _, e := Count(); e == nil || e.Error() != err.Error() {
		t.Errorf("Count: %v, Available: %v", e, err)
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "leave -gpu out") {
		t.Errorf("not a sentence that says what to do: %v", err)
	}
}
