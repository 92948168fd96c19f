// Kernels of a training step on a CPU: products of bf16 matrices, causal attention, layer norm, GELU, cross-entropy.
// Every sum has a fixed order for a given number of threads, so that results repeat to the bit.

#include <cmath>

#include "bf16_products.h"
#include "causal_attention.h"

namespace {

// e^x of an x up to 88, to about 2 units in the last place of fp32; below -87 it stays at e^-87. NaN stays NaN. Loops
// over it become vector code, and with one bound twice as fast as with two: of each bound GCC makes a case of its own.
inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the sum's low bits are the nearest integer
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits;
    std::memcpy(&bits, &shifted, 4);
    const int32_t power = (bits - 0x4b400000 + 127) << 23;
    float scale;
    std::memcpy(&scale, &power, 4);
    return p * scale;
}

constexpr float ROOT_2_OVER_PI = 0.7978845608f, CUBIC = 0.044715f;

// GELU is x times this share of it: (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), and what is left of 1 for -u.
inline float gelu_share(float x) {
    const float u = ROOT_2_OVER_PI * (1 + CUBIC * x * x) * std::fabs(x), e = exponential(-2 * u);
    return (x < 0 ? e : 1.0f) / (1 + e);
}

template <typename T>
void gelu_of(int64_t n, const T* x, T* y) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float value = wide(x[i]);
        narrow(value * gelu_share(value), y + i);
    }
}

template <typename T>
void gelu_backward_of(int64_t n, const T* x, const T* dy, T* dx) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const float value = wide(x[i]), share = gelu_share(value);
        const float slope = 2 * ROOT_2_OVER_PI * (1 + 3 * CUBIC * value * value);
        narrow(wide(dy[i]) * share * (1 + value * (1 - share) * slope), dx + i);
    }
}

template <typename T>
void layer_norm_of(int64_t rows, int64_t C, const float* x, const float* gain, const float* bias, float epsilon, T* y,
                   float* means, float* scales) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const float* const from = x + row * C;
        T* const to = y + row * C;
        float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; c++) sum += from[c];
        const float mean = sum / float(C);
#pragma omp simd reduction(+ : squares)
        for (int64_t c = 0; c < C; c++) squares += (from[c] - mean) * (from[c] - mean);
        const float scale = 1 / std::sqrt(squares / float(C) + epsilon);
#pragma omp simd
        for (int64_t c = 0; c < C; c++) narrow((from[c] - mean) * scale * gain[c] + bias[c], to + c);
        means[row] = mean;
        scales[row] = scale;
    }
}

// With n = (x - mean) * scale: dx = scale * (g - mean(g) - n * mean(g * n)), where g = dy * gain.
template <typename T>
void layer_norm_backward_of(int64_t rows, int64_t C, const float* x, const float* gain, const T* dy, const float* means,
                            const float* scales, float* dx, float* d_gain, float* d_bias) {
    const int64_t threads = omp_get_max_threads();
    static thread_local Scratch<float> scratch;
    float* const parts = scratch(2 * threads * C);
    std::fill(parts, parts + 2 * threads * C, 0.0f);
#pragma omp parallel for schedule(static, 1)
    for (int64_t part = 0; part < threads; part++) {
        float *const gains = parts + 2 * part * C, *const biases = gains + C;
        for (int64_t row = rows * part / threads; row < rows * (part + 1) / threads; row++) {
            const float *const from = x + row * C, mean = means[row], scale = scales[row];
            const T* const up = dy + row * C;
            float sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
            for (int64_t c = 0; c < C; c++) {
                const float n = (from[c] - mean) * scale, d = wide(up[c]), g = d * gain[c];
                sum += g;
                along += g * n;
                gains[c] += d * n;
                biases[c] += d;
            }
            sum /= float(C);
            along /= float(C);
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                dx[row * C + c] = scale * (wide(up[c]) * gain[c] - sum - (from[c] - mean) * scale * along);
        }
    }
    for (int64_t c = 0; c < C; c++) {
        float gains = 0, biases = 0;
        for (int64_t part = 0; part < threads; part++) {
            gains += parts[2 * part * C + c];
            biases += parts[(2 * part + 1) * C + c];
        }
        d_gain[c] = gains;
        d_bias[c] = biases;
    }
}

}  // namespace

extern "C" {

// Which products there are: 2 by AMX, 1 by AVX-512, 0 none. Asks the system for the tiles, which a process must.
int matrix_unit() {
#if defined(AMX)
    return amx_allowed() ? 2 : 0;
#elif defined(BF16_PRODUCTS)
    return 1;
#else
    return 0;
#endif
}

#ifdef BF16_PRODUCTS

// c (M, N) = a (M, K) times b (K, N) [+ bias] [+ c]. `a_inner`, `b_inner`: whether K is the dimension along a row, as
// in a (M, K) and in b's transpose (N, K). `a` is bf16; `b` and `c` are fp32 where their flags say so.
void product(int64_t M, int64_t N, int64_t K, const bf16* a, int64_t lda, int a_inner, const void* b, int64_t ldb,
             int b_inner, int b_fp32, void* c, int64_t ldc, int c_fp32, int add, const float* bias) {
    auto run = [&](auto* second, auto* result) {
        product_of(M, N, K, a, lda, a_inner, second, ldb, b_inner, result, ldc, add, bias);
    };
    const auto* b_wide = static_cast<const float*>(b);
    const auto* b_narrow = static_cast<const bf16*>(b);
    if (c_fp32)
        b_fp32 ? run(b_wide, static_cast<float*>(c)) : run(b_narrow, static_cast<float*>(c));
    else
        b_fp32 ? run(b_wide, static_cast<bf16*>(c)) : run(b_narrow, static_cast<bf16*>(c));
}

// Causal attention of every head of B texts. qkv (B, T, 3, H, D) and y (B, T, H, D) are bf16, log_sums (B, H, T) fp32.
void attend(int64_t B, int64_t T, int64_t H, int64_t D, const bf16* qkv, bf16* y, float* log_sums) {
    const int64_t C = H * D;
    const float scale = 1 / std::sqrt(float(D));
#pragma omp parallel
    {
        const Tiles tiles;
#pragma omp for schedule(dynamic)
        for (int64_t one = 0; one < B * H; one++) {
            const bf16* const q = qkv + one / H * T * 3 * C + one % H * D;
            attend_head({q, q + C, q + 2 * C, 3 * C, T, D}, scale, y + one / H * T * C + one % H * D, C,
                        log_sums + one * T);
        }
    }
}

void attend_backward(int64_t B, int64_t T, int64_t H, int64_t D, const bf16* qkv, const bf16* y, const bf16* dy,
                     const float* log_sums, bf16* d_qkv) {
    const int64_t C = H * D;
    const float scale = 1 / std::sqrt(float(D));
#pragma omp parallel
    {
        const Tiles tiles;
#pragma omp for schedule(dynamic)
        for (int64_t one = 0; one < B * H; one++) {
            const int64_t at = one / H * T * C + one % H * D, at_qkv = one / H * T * 3 * C + one % H * D;
            const bf16* const q = qkv + at_qkv;
            bf16* const dq = d_qkv + at_qkv;
            attend_head_backward({q, q + C, q + 2 * C, 3 * C, T, D}, scale, y + at, dy + at, C, log_sums + one * T, dq,
                                 dq + C, dq + 2 * C);
        }
    }
}

#endif

void gelu(int64_t n, const void* x, void* y, int fp32) {
    if (fp32)
        gelu_of(n, static_cast<const float*>(x), static_cast<float*>(y));
    else
        gelu_of(n, static_cast<const bf16*>(x), static_cast<bf16*>(y));
}

void gelu_backward(int64_t n, const void* x, const void* dy, void* dx, int fp32) {
    if (fp32)
        gelu_backward_of(n, static_cast<const float*>(x), static_cast<const float*>(dy), static_cast<float*>(dx));
    else
        gelu_backward_of(n, static_cast<const bf16*>(x), static_cast<const bf16*>(dy), static_cast<bf16*>(dx));
}

// x is fp32; y, and dy, where the flag says so, else bf16.
void layer_norm(int64_t rows, int64_t C, const float* x, const float* gain, const float* bias, float epsilon, void* y,
                int fp32, float* means, float* scales) {
    if (fp32)
        layer_norm_of(rows, C, x, gain, bias, epsilon, static_cast<float*>(y), means, scales);
    else
        layer_norm_of(rows, C, x, gain, bias, epsilon, static_cast<bf16*>(y), means, scales);
}

void layer_norm_backward(int64_t rows, int64_t C, const float* x, const float* gain, const void* dy, int fp32,
                         const float* means, const float* scales, float* dx, float* d_gain, float* d_bias) {
    if (fp32)
        layer_norm_backward_of(rows, C, x, gain, static_cast<const float*>(dy), means, scales, dx, d_gain, d_bias);
    else
        layer_norm_backward_of(rows, C, x, gain, static_cast<const bf16*>(dy), means, scales, dx, d_gain, d_bias);
}

// The sum of each column of x (rows, C): the gradient of a bias.
void column_sums(int64_t rows, int64_t C, const bf16* x, float* sums) {
    constexpr int64_t WIDTH = 64;
#pragma omp parallel for schedule(static)
    for (int64_t from = 0; from < C; from += WIDTH) {
        float parts[WIDTH] = {};
        const int64_t n = std::min(WIDTH, C - from);
        for (int64_t row = 0; row < rows; row++)
#pragma omp simd
            for (int64_t c = 0; c < n; c++) parts[c] += wide(x[row * C + from + c]);
        std::memcpy(sums + from, parts, n * sizeof(float));
    }
}

// Turn each row of logits (rows, V) into softmax - onehot(target) in place, and its loss -log softmax[target] in nats.
// What a row holds beyond V, up to ld, becomes 0.
void cross_entropy(int64_t rows, int64_t V, bf16* logits, int64_t ld, const int64_t* targets, float* nats) {
#pragma omp parallel
    {
        static thread_local Scratch<float> scratch;
        float* const e = scratch(V);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; row++) {
            bf16* const x = logits + row * ld;
            float most = wide(x[0]), sum = 0;
#pragma omp simd reduction(max : most)
            for (int64_t v = 0; v < V; v++) most = std::max(most, wide(x[v]));
#pragma omp simd reduction(+ : sum)
            for (int64_t v = 0; v < V; v++) sum += e[v] = exponential(wide(x[v]) - most);
            const int64_t target = targets[row];
            nats[row] = std::log(sum) + most - wide(x[target]);
            const float inverse = 1 / sum;
            e[target] -= sum;
#pragma omp simd
            for (int64_t v = 0; v < V; v++) narrow(e[v] * inverse, x + v);
            std::fill(x + V, x + ld, bf16(0));
        }
    }
}
}
