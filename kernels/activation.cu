// Activations and their derivatives, partner of activation.go; the derivative of swish is given the input x, the others
// the output y:
//
//	elu       y = x > 0 ? x : e^x - 1       dx = dy (y > 0 ? 1 : y + 1)
//	relu      y = max(x, 0)                 dx = y > 0 ? dy : 0
//	lrelu     y = x > 0 ? x : 0.2 x         dx = dy (y > 0 ? 1 : 0.2)
//	swish     y = x s, s = 1/(1 + e^-x)     dx = dy s (1 + x (1 - s))
//	softplus  y = ln(1 + e^x)               dx = dy (1 - e^-y)
#include "swish.cuh"

// What an activation is: its value at x, and its derivative times g, from y or for swish from x.
struct Elu {
    static __device__ __forceinline__ float value(float x) { return x > 0.0f ? x : expm1f(x); }
    static __device__ __forceinline__ float grad(float g, float y) { return y > 0.0f ? g : g * (y + 1.0f); }
};

struct Relu {
    static __device__ __forceinline__ float value(float x) { return x < 0.0f ? 0.0f : x; }
    static __device__ __forceinline__ float grad(float g, float y) { return y > 0.0f ? g : 0.0f; }
};

struct Lrelu {
    static __device__ __forceinline__ float value(float x) { return x < 0.0f ? 0.2f * x : x; }
    static __device__ __forceinline__ float grad(float g, float y) { return y > 0.0f ? g : 0.2f * g; }
};

struct Softplus {
    static __device__ __forceinline__ float value(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
    static __device__ __forceinline__ float grad(float g, float y) { return g * -expm1f(-y); }
};

template <typename F, typename T> static __device__ __forceinline__ void forward(T *y, const T *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = F::value(q.v[j]);
    store4(y + i, q, (i64)n - i);
}

template <typename F, typename T> static __device__ __forceinline__ void backward(T *dx, const T *dy, const T *at, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(at + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) g.v[j] = F::grad(g.v[j], q.v[j]);
    store4(dx + i, g, (i64)n - i);
}

extern "C" __global__ void elu(float *y, const float *x, u64 n) { forward<Elu>(y, x, n); }
extern "C" __global__ void elu_bf16(bf16 *y, const bf16 *x, u64 n) { forward<Elu>(y, x, n); }
extern "C" __global__ void elu_grad(float *dx, const float *dy, const float *y, u64 n) { backward<Elu>(dx, dy, y, n); }
extern "C" __global__ void elu_grad_bf16(bf16 *dx, const bf16 *dy, const bf16 *y, u64 n) { backward<Elu>(dx, dy, y, n); }
extern "C" __global__ void relu(float *y, const float *x, u64 n) { forward<Relu>(y, x, n); }
extern "C" __global__ void relu_bf16(bf16 *y, const bf16 *x, u64 n) { forward<Relu>(y, x, n); }
extern "C" __global__ void relu_grad(float *dx, const float *dy, const float *y, u64 n) { backward<Relu>(dx, dy, y, n); }
extern "C" __global__ void relu_grad_bf16(bf16 *dx, const bf16 *dy, const bf16 *y, u64 n) { backward<Relu>(dx, dy, y, n); }
extern "C" __global__ void lrelu(float *y, const float *x, u64 n) { forward<Lrelu>(y, x, n); }
extern "C" __global__ void lrelu_bf16(bf16 *y, const bf16 *x, u64 n) { forward<Lrelu>(y, x, n); }
extern "C" __global__ void lrelu_grad(float *dx, const float *dy, const float *y, u64 n) { backward<Lrelu>(dx, dy, y, n); }
extern "C" __global__ void lrelu_grad_bf16(bf16 *dx, const bf16 *dy, const bf16 *y, u64 n) { backward<Lrelu>(dx, dy, y, n); }
extern "C" __global__ void swish(float *y, const float *x, u64 n) { forward<Swish>(y, x, n); }
extern "C" __global__ void swish_bf16(bf16 *y, const bf16 *x, u64 n) { forward<Swish>(y, x, n); }
extern "C" __global__ void swish_grad(float *dx, const float *dy, const float *x, u64 n) { backward<Swish>(dx, dy, x, n); }
extern "C" __global__ void swish_grad_bf16(bf16 *dx, const bf16 *dy, const bf16 *x, u64 n) { backward<Swish>(dx, dy, x, n); }
extern "C" __global__ void softplus(float *y, const float *x, u64 n) { forward<Softplus>(y, x, n); }
extern "C" __global__ void softplus_bf16(bf16 *y, const bf16 *x, u64 n) { forward<Softplus>(y, x, n); }
extern "C" __global__ void softplus_grad(float *dx, const float *dy, const float *y, u64 n) { backward<Softplus>(dx, dy, y, n); }
extern "C" __global__ void softplus_grad_bf16(bf16 *dx, const bf16 *dy, const bf16 *y, u64 n) { backward<Softplus>(dx, dy, y, n); }
