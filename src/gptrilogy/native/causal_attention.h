// Causal attention of one head, forward and backward, by blocks of 32 queries and 32 keys.
//
// No probability is kept: the backward pass makes them again from the log of each query's denominator. One thread does
// a whole head, so that every sum has one order.
#pragma once

#include <cmath>

#include "bf16_products.h"

#ifdef BF16_PRODUCTS

namespace {

// One head of one text: q, k, v and what belongs to them are columns of wider matrices.
struct Head {
    const bf16 *q, *k, *v;
    int64_t ld;    // of q, k, v
    int64_t T, D;  // D is a multiple of 32
    int64_t panels() const { return blocks(T); }
    int64_t rows(int64_t panel) const { return std::min(BLOCK, T - panel * BLOCK); }
    int64_t size() const { return panels() * BLOCK * D; }
};

// e^(x * scale - shift) of the first n of 16 numbers, 0 for the others; to 1e-6, far finer than the bf16 it becomes.
inline __m512 exponentials(const float* x, float scale, float shift, int64_t n) {
    const __m512 y = _mm512_fmsub_ps(_mm512_load_ps(x), _mm512_set1_ps(scale), _mm512_set1_ps(shift));
    const __m512 times = _mm512_roundscale_ps(_mm512_mul_ps(y, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    const __m512 r = _mm512_fnmadd_ps(times, _mm512_set1_ps(0.69314718f), y);
    __m512 p = _mm512_set1_ps(1.0f / 120);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_maskz_scalef_ps(__mmask16(first(n)), p, times);
}

// Of query i the keys j <= i; those of one block, as the number of keys it sees of 32.
inline int64_t seen(int64_t i, int64_t key_panel) { return std::min(i - key_panel * BLOCK + 1, BLOCK); }

void attend_head(const Head& h, float scale, bf16* y, int64_t ldy, float* log_sums) {
    static thread_local Scratch<bf16> packed;
    static thread_local Scratch<float> score_scratch;
    const int64_t panels = h.panels(), width = panels * BLOCK;
    bf16* const q = packed(3 * h.size() + BLOCK * width);
    bf16 *const k = q + h.size(), *const v = k + h.size(), *const P = v + h.size();
    float* const scores = score_scratch(BLOCK * width);
    alignas(64) float block[BLOCK * BLOCK];
    pack(h.q, h.ld, true, false, h.T, h.D, q);
    pack(h.k, h.ld, true, true, h.T, h.D, k);
    pack(h.v, h.ld, false, true, h.D, h.T, v);
    for (int64_t i = 0; i < panels; i++) {
        for (int64_t j = 0; j <= i; j++) {
            multiply(Rows::packed(q + i * BLOCK * h.D), k + j * BLOCK * h.D, h.D / BLOCK, block);
            for (int64_t r = 0; r < BLOCK; r++)
                std::memcpy(scores + r * width + j * BLOCK, block + r * BLOCK, BLOCK * sizeof(float));
        }
        float inverse[BLOCK];
        for (int64_t r = 0; r < BLOCK; r++) {
            const float* const row = scores + r * width;
            const int64_t n = i * BLOCK + r + 1;
            __m512 low = _mm512_set1_ps(-INFINITY), high = low;
            for (int64_t s = 0; s < n; s += BLOCK) {
                low = _mm512_mask_max_ps(low, __mmask16(first(n - s)), low, _mm512_load_ps(row + s));
                high = _mm512_mask_max_ps(high, __mmask16(first(n - s - 16)), high, _mm512_load_ps(row + s + 16));
            }
            const float most = _mm512_reduce_max_ps(_mm512_max_ps(low, high)) * scale;
            low = high = _mm512_setzero_ps();
            bf16* to = P + r / 16 * TILE + r % 16 * BLOCK;
            for (int64_t s = 0; s < n; s += BLOCK, to += PANEL) {
                const __m512 left = exponentials(row + s, scale, most, n - s);
                const __m512 right = exponentials(row + s + 16, scale, most, n - s - 16);
                low = _mm512_add_ps(low, left);
                high = _mm512_add_ps(high, right);
                _mm512_store_si512(to, __m512i(_mm512_cvtne2ps_pbh(right, left)));
            }
            const float sum = _mm512_reduce_add_ps(_mm512_add_ps(low, high));
            inverse[r] = 1 / sum;
            if (r < h.rows(i)) log_sums[i * BLOCK + r] = most + std::log(sum);
        }
        for (int64_t d = 0; d < h.D; d += BLOCK) {
            multiply(Rows::packed(P), v + d / BLOCK * panels * PANEL, i + 1, block);
            for (int64_t r = 0; r < BLOCK; r++)
                for (int64_t c = 0; c < BLOCK; c++) block[r * BLOCK + c] *= inverse[r];
            deliver(block, h.rows(i), BLOCK, nullptr, false, y + i * BLOCK * ldy + d, ldy);
        }
    }
}

// With y = P v: dP = dy v^T and dS = P * (dP - rowsum(dy * y)). Several panels of queries at a time, so that what they
// add to the keys' gradients is one product.
void attend_head_backward(const Head& h, float scale, const bf16* y, const bf16* dy, int64_t ldy, const float* log_sums,
                          bf16* dq, bf16* dk, bf16* dv) {
    constexpr int64_t TOGETHER = 4;
    static thread_local Scratch<bf16> packed;
    static thread_local Scratch<float> sums;
    const int64_t panels = h.panels(), width = panels * BLOCK, size = h.size();
    bf16* const q = packed(7 * size + 2 * TOGETHER * BLOCK * width + 2 * TOGETHER * PANEL);
    bf16 *const k = q + size, *const v = k + size, *const dY = v + size;
    bf16 *const k_columns = dY + size, *const q_columns = k_columns + size, *const dy_columns = q_columns + size;
    bf16 *const P = dy_columns + size, *const dS = P + TOGETHER * BLOCK * width;
    bf16* const turned = dS + TOGETHER * BLOCK * width;
    float *const dk_sum = sums(2 * size), *const dv_sum = dk_sum + size;
    alignas(64) float S[BLOCK * BLOCK], dP[BLOCK * BLOCK];
    float delta[BLOCK];
    std::fill(dk_sum, dk_sum + 2 * size, 0.0f);
    pack(h.q, h.ld, true, false, h.T, h.D, q);
    pack(h.k, h.ld, true, true, h.T, h.D, k);
    pack(h.v, h.ld, true, true, h.T, h.D, v);
    pack(dy, ldy, true, false, h.T, h.D, dY);
    pack(h.k, h.ld, false, true, h.D, h.T, k_columns);
    pack(h.q, h.ld, false, true, h.D, h.T, q_columns);
    pack(dy, ldy, false, true, h.D, h.T, dy_columns);
    for (int64_t begin = 0; begin < panels; begin += TOGETHER) {
        const int64_t end = std::min(begin + TOGETHER, panels);
        for (int64_t i = begin; i < end; i++) {
            for (int64_t r = 0; r < h.rows(i); r++) {
                const bf16 *const one = y + (i * BLOCK + r) * ldy, *const other = dy + (i * BLOCK + r) * ldy;
                float sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t d = 0; d < h.D; d++) sum += wide(one[d]) * wide(other[d]);
                delta[r] = sum;
            }
            const int64_t lines = (i - begin) * BLOCK;
            for (int64_t j = 0; j < end; j++) {
                if (j <= i) {
                    multiply(Rows::packed(q + i * BLOCK * h.D), k + j * BLOCK * h.D, h.D / BLOCK, S);
                    multiply(Rows::packed(dY + i * BLOCK * h.D), v + j * BLOCK * h.D, h.D / BLOCK, dP);
                }
                for (int64_t r = 0; r < BLOCK; r++) {
                    const int64_t n = r < h.rows(i) ? std::max<int64_t>(0, seen(i * BLOCK + r, j)) : 0;
                    const float log_sum = n ? log_sums[i * BLOCK + r] : 0;
                    const __m512 shift = _mm512_set1_ps(n ? delta[r] : 0);
                    __m512 p[2], g[2];
                    for (int64_t half = 0; half < 2; half++) {
                        const int64_t at = r * BLOCK + 16 * half;
                        p[half] = exponentials(S + at, scale, log_sum, n - 16 * half);
                        const __m512 slope = _mm512_mul_ps(p[half], _mm512_set1_ps(scale));
                        g[half] = _mm512_mul_ps(slope, _mm512_sub_ps(_mm512_load_ps(dP + at), shift));
                    }
                    const int64_t at = (lines + r) * width + j * BLOCK;
                    _mm512_store_si512(P + at, __m512i(_mm512_cvtne2ps_pbh(p[1], p[0])));
                    _mm512_store_si512(dS + at, __m512i(_mm512_cvtne2ps_pbh(g[1], g[0])));
                }
            }
            for (int64_t d = 0; d < h.D; d += BLOCK) {
                multiply(Rows::of(dS + lines * width, width), k_columns + d / BLOCK * panels * PANEL, i + 1, S);
                deliver(S, h.rows(i), BLOCK, nullptr, false, dq + i * BLOCK * h.ld + d, h.ld);
            }
        }
        for (int64_t j = 0; j < end; j++) {
            const int64_t from = std::max(begin, j), steps = end - from;
            for (int64_t i = from; i < end; i++) {
                const int64_t at = (i - begin) * BLOCK * width + j * BLOCK;
                pack_step(P + at, width, false, false, 32, 32, turned + (i - from) * PANEL);
                pack_step(dS + at, width, false, false, 32, 32, turned + (TOGETHER + i - from) * PANEL);
            }
            for (int64_t d = 0; d < h.D; d += BLOCK) {
                const int64_t to = j * BLOCK * h.D + d, at = (d / BLOCK * panels + from) * PANEL;
                multiply(Rows::packed(turned), dy_columns + at, steps, S);
                deliver(S, BLOCK, BLOCK, nullptr, true, dv_sum + to, h.D);
                multiply(Rows::packed(turned + TOGETHER * PANEL), q_columns + at, steps, S);
                deliver(S, BLOCK, BLOCK, nullptr, true, dk_sum + to, h.D);
            }
        }
    }
    for (int64_t t = 0; t < h.T; t++)
        for (int64_t d = 0; d < h.D; d += 16) {
            store16(dk + t * h.ld + d, _mm512_load_ps(dk_sum + t * h.D + d), 0xffff);
            store16(dv + t * h.ld + d, _mm512_load_ps(dv_sum + t * h.D + d), 0xffff);
        }
}

}  // namespace

#endif  // BF16_PRODUCTS
