// Activations and their derivatives, partner of activation.go; the derivative of swish is given the input x, the others
// the output y:
//
//	elu       y = x > 0 ? x : e^x - 1       dx = dy (y > 0 ? 1 : y + 1)
//	relu      y = max(x, 0)                 dx = y > 0 ? dy : 0
//	lrelu     y = x > 0 ? x : 0.2 x         dx = dy (y > 0 ? 1 : 0.2)
//	swish     y = x s, s = 1/(1 + e^-x)     dx = dy s (1 + x (1 - s))
//	softplus  y = ln(1 + e^x)               dx = dy (1 - e^-y)
#include "common.cuh"

extern "C" __global__ void elu(float *y, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = q.v[j] > 0.0f ? q.v[j] : expm1f(q.v[j]);
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void elu_grad(float *dx, const float *dy, const float *y, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(y + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) g.v[j] = q.v[j] > 0.0f ? g.v[j] : g.v[j] * (q.v[j] + 1.0f);
    store4(dx + i, g, (i64)n - i);
}

extern "C" __global__ void relu(float *y, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = q.v[j] < 0.0f ? 0.0f : q.v[j];
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void relu_grad(float *dx, const float *dy, const float *y, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(y + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) g.v[j] = q.v[j] > 0.0f ? g.v[j] : 0.0f;
    store4(dx + i, g, (i64)n - i);
}

extern "C" __global__ void lrelu(float *y, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = q.v[j] < 0.0f ? 0.2f * q.v[j] : q.v[j];
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void lrelu_grad(float *dx, const float *dy, const float *y, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(y + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) g.v[j] = q.v[j] > 0.0f ? g.v[j] : 0.2f * g.v[j];
    store4(dx + i, g, (i64)n - i);
}

extern "C" __global__ void swish(float *y, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = q.v[j] / (1.0f + expf(-q.v[j]));
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void swish_grad(float *dx, const float *dy, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float s = 1.0f / (1.0f + expf(-q.v[j]));
        g.v[j] = g.v[j] * s * (1.0f + q.v[j] * (1.0f - s));
    }
    store4(dx + i, g, (i64)n - i);
}

extern "C" __global__ void softplus(float *y, const float *x, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad q = load4(x + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.v[j] = fmaxf(q.v[j], 0.0f) + log1pf(expf(-fabsf(q.v[j])));
    store4(y + i, q, (i64)n - i);
}

extern "C" __global__ void softplus_grad(float *dx, const float *dy, const float *y, u64 n)
{
    i64 i = flat_quad();
    if (i >= (i64)n) return;
    Quad g = load4(dy + i, (i64)n - i), q = load4(y + i, (i64)n - i);
#pragma unroll
    for (int j = 0; j < 4; j++) g.v[j] = g.v[j] * -expm1f(-q.v[j]);
    store4(dx + i, g, (i64)n - i);
}
