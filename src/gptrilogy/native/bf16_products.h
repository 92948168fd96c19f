// Products of bf16 matrices, summed in fp32.
//
// Matrices are row-major with a row length `ld` in elements. A product runs over blocks of 32 x 32 results and steps of
// 32 along the inner dimension: the tiles of AMX, in a layout that the dot products of AVX-512 can read too. Every sum
// has one order, so that results repeat to the bit, on any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include <omp.h>

#include "amx.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define BF16_PRODUCTS 1
#include <immintrin.h>
#ifndef __clang__
#pragma GCC target("prefer-vector-width=512")
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 says it of its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif
#if defined(BF16_PRODUCTS) && defined(HAS_AMX) && !defined(NO_AMX)
#define AMX 1
#endif

namespace {

using bf16 = uint16_t;

inline float wide(float x) { return x; }

inline float wide(bf16 x) {
    const uint32_t bits = uint32_t(x) << 16;
    float y;
    std::memcpy(&y, &bits, 4);
    return y;
}

inline void narrow(float x, float* to) { *to = x; }

inline void narrow(float x, bf16* to) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    *to = bf16(x != x ? 0x7fc0 : rounded);
}

// Memory that a thread keeps for its next call: to touch new pages would cost more than to compute.
template <typename T>
struct Scratch {
    T* memory = nullptr;
    int64_t size = 0;
    T* operator()(int64_t n) {
        if (n > size) {
            std::free(memory);
            memory = static_cast<T*>(std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64));
            if (!memory) std::abort();
            size = n;
        }
        return memory;
    }
    ~Scratch() { std::free(memory); }
};

constexpr int64_t BLOCK = 32;        // rows and columns of results made together, and inner steps of one tile
constexpr int64_t TILE = 16 * 32;    // elements
constexpr int64_t PANEL = 2 * TILE;  // of one step: two tiles

inline int64_t blocks(int64_t n) { return (n + BLOCK - 1) / BLOCK; }

#ifdef BF16_PRODUCTS

// ---- A tile: 16 rows of 16 pairs of bf16 ----

inline __mmask32 first(int64_t n) { return n >= 32 ? ~__mmask32(0) : n <= 0 ? 0 : (__mmask32(1) << n) - 1; }

inline __m512i load32(const bf16* x, int64_t n) { return _mm512_maskz_loadu_epi16(first(n), x); }

inline __m512i load32(const float* x, int64_t n) {
    const __m512 low = _mm512_maskz_loadu_ps(__mmask16(first(n)), x);
    const __m512 high = _mm512_maskz_loadu_ps(__mmask16(first(n - 16)), x + 16);
    return __m512i(_mm512_cvtne2ps_pbh(high, low));
}

inline __m256i load16(const bf16* x, int64_t n) { return _mm256_maskz_loadu_epi16(__mmask16(first(n)), x); }

inline __m256i load16(const float* x, int64_t n) {
    return __m256i(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(__mmask16(first(n)), x)));
}

inline void store16(float* to, __m512 x, __mmask16 some) { _mm512_mask_storeu_ps(to, some, x); }

inline void store16(bf16* to, __m512 x, __mmask16 some) {
    _mm256_mask_storeu_epi16(to, some, __m256i(_mm512_cvtneps_pbh(x)));
}

inline void transpose(__m512i (&x)[16]) {
    __m512i y[16];
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        y[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
        y[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
        y[i + 8] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
        y[i + 12] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
    }
}

// Sixteen rows or columns of a matrix over 32 inner steps, of which the first operand has one in each row of the tile,
// and the second one in each column. What lies beyond `n_outer` and `n_inner` is 0.
template <bool whole, typename T>
inline void pack_tile(const T* x, int64_t ld, bool inner_adjacent, bool second, int64_t n_outer, int64_t n_inner,
                      bf16* to) {
    __m512i rows[16];
    if (inner_adjacent) {
        for (int i = 0; i < 16; i++) {
            const int64_t n = whole ? 32 : n_inner;
            rows[i] = whole || i < n_outer ? load32(x + i * ld, n) : _mm512_setzero_si512();
        }
    } else {
        for (int i = 0; i < 16; i++) {
            const T *const even = x + 2 * i * ld, *const odd = even + ld;
            _mm_prefetch(even + 32 * ld, _MM_HINT_T0);
            _mm_prefetch(odd + 32 * ld, _MM_HINT_T0);
            const __m256i none = _mm256_setzero_si256();
            const __m256i low = whole ? load16(even, 16) : 2 * i < n_inner ? load16(even, n_outer) : none;
            const __m256i high = whole ? load16(odd, 16) : 2 * i + 1 < n_inner ? load16(odd, n_outer) : none;
            rows[i] = _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
        }
    }
    if (inner_adjacent == second) transpose(rows);
    for (int i = 0; i < 16; i++) _mm512_store_si512(to + 32 * i, rows[i]);
}

// One step of 32 rows or columns: two tiles.
template <typename T>
inline void pack_step(const T* x, int64_t ld, bool inner_adjacent, bool second, int64_t n_outer, int64_t n_inner,
                      bf16* to) {
    const int64_t half = 16 * (inner_adjacent ? ld : 1);
    if (n_outer >= 32 && n_inner >= 32) {
        pack_tile<true>(x, ld, inner_adjacent, second, 16, 32, to);
        pack_tile<true>(x + half, ld, inner_adjacent, second, 16, 32, to + TILE);
    } else {
        pack_tile<false>(x, ld, inner_adjacent, second, n_outer, n_inner, to);
        pack_tile<false>(x + half, ld, inner_adjacent, second, n_outer - 16, n_inner, to + TILE);
    }
}

// All rows or columns, 32 together, each with all its steps; read in the order in which they lie in memory.
template <typename T>
inline void pack(const T* x, int64_t ld, bool inner_adjacent, bool second, int64_t n_outer, int64_t n_inner, bf16* to) {
    const int64_t steps = blocks(n_inner);
    if (inner_adjacent) {
        for (int64_t o = 0; o < n_outer; o += BLOCK)
            for (int64_t k = 0; k < n_inner; k += BLOCK, to += PANEL)
                pack_step(x + o * ld + k, ld, true, second, n_outer - o, n_inner - k, to);
    } else {
        for (int64_t k = 0; k < n_inner; k += BLOCK, to += PANEL)
            for (int64_t o = 0; o < n_outer; o += BLOCK)
                pack_step(x + k * ld + o, ld, false, second, n_outer - o, n_inner - k, to + o / BLOCK * steps * PANEL);
    }
}

// ---- 32 x 32 results ----

// Where 32 rows of the first operand lie: packed, or as they are in a matrix whose rows are whole tiles.
struct Rows {
    const bf16* at;
    int64_t step, half, ld;
    static Rows packed(const bf16* at) { return {at, PANEL, TILE, 32}; }
    static Rows of(const bf16* at, int64_t ld) { return {at, BLOCK, 16 * ld, ld}; }
};

#ifdef AMX

// Our tiles for as long as this lives; then those of whoever had them, who may not look.
struct Tiles {
    alignas(64) uint8_t before[64];
    Tiles() {
        _tile_storeconfig(before);
        _tile_loadconfig(&TILE_CONFIG);
    }
    ~Tiles() { _tile_loadconfig(before); }
};

inline void multiply(Rows a, const bf16* b, int64_t steps, float* c) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    const int64_t stride = a.ld * 2;
    for (int64_t s = 0; s < steps; s++, a.at += a.step, b += PANEL) {
        _tile_loadd(4, a.at, stride);
        _tile_loadd(6, b, 64);
        _tile_loadd(5, a.at + a.half, stride);
        _tile_loadd(7, b + TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, 128);
    _tile_stored(1, c + 16, 128);
    _tile_stored(2, c + 512, 128);
    _tile_stored(3, c + 528, 128);
}

#else

struct Tiles {
    Tiles() {}
    ~Tiles() {}
};

inline void multiply(Rows a, const bf16* b, int64_t steps, float* c) {
    for (int half = 0; half < 2; half++)
        for (int row = 0; row < 16; row += 8) {
            __m512 sums[8][2];
            for (auto& sum : sums) sum[0] = sum[1] = _mm512_setzero_ps();
            const bf16* x = a.at + half * a.half + row * a.ld;
            const bf16* y = b;
            for (int64_t s = 0; s < steps; s++, x += a.step, y += PANEL)
                for (int pair = 0; pair < 16; pair++) {
                    const __m512bh left = __m512bh(_mm512_load_si512(y + 32 * pair));
                    const __m512bh right = __m512bh(_mm512_load_si512(y + TILE + 32 * pair));
                    for (int i = 0; i < 8; i++) {
                        int32_t two;
                        std::memcpy(&two, x + i * a.ld + 2 * pair, 4);
                        const __m512bh both = __m512bh(_mm512_set1_epi32(two));
                        sums[i][0] = _mm512_dpbf16_ps(sums[i][0], both, left);
                        sums[i][1] = _mm512_dpbf16_ps(sums[i][1], both, right);
                    }
                }
            for (int i = 0; i < 8; i++) {
                _mm512_storeu_ps(c + (half * 16 + row + i) * 32, sums[i][0]);
                _mm512_storeu_ps(c + (half * 16 + row + i) * 32 + 16, sums[i][1]);
            }
        }
}

#endif

// Put up to 32 x 32 results where they belong, with a bias, or added to what is there.
template <typename T>
inline void deliver(const float* c, int64_t rows, int64_t columns, const float* bias, bool add, T* to, int64_t ld) {
    for (int64_t half = 0; half < 2; half++) {
        const __mmask16 some = __mmask16(first(columns - 16 * half));
        const __m512 shift = bias ? _mm512_maskz_loadu_ps(some, bias + 16 * half) : _mm512_setzero_ps();
        for (int64_t i = 0; i < std::min(rows, BLOCK); i++) {
            __m512 x = _mm512_add_ps(_mm512_load_ps(c + 32 * i + 16 * half), shift);
            if constexpr (std::is_same_v<T, float>)
                if (add) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(some, to + i * ld + 16 * half));
            store16(to + i * ld + 16 * half, x, some);
        }
    }
}

// ---- The product of two matrices ----

template <typename B, typename C>
void product_of(int64_t M, int64_t N, int64_t K, const bf16* a, int64_t lda, bool a_inner, const B* b, int64_t ldb,
                bool b_inner, C* c, int64_t ldc, bool add, const float* bias) {
    static thread_local Scratch<bf16> b_scratch;
    const int64_t threads = omp_get_max_threads();
    const int64_t k_most = std::is_same_v<C, float> ? std::min<int64_t>(K, 2048) : K;  // only fp32 adds up in memory
    const int64_t steps_most = blocks(k_most);
    const int64_t n_most = std::min(blocks(N), std::max<int64_t>(1, 4096 / steps_most)) * BLOCK;  // 8 MB of `b`
    const int64_t fits = std::max<int64_t>(1, 256 / steps_most) * BLOCK;  // half a megabyte of `a`, in the fast cache
    const int64_t m_most = std::min(blocks((M + 2 * threads - 1) / (2 * threads)) * BLOCK, fits);
    bf16* const packed_b = b_scratch(n_most * steps_most * BLOCK);
    for (int64_t n0 = 0; n0 < N; n0 += n_most)
        for (int64_t k0 = 0; k0 < K; k0 += k_most) {
            const int64_t n_here = std::min(n_most, N - n0), k_here = std::min(k_most, K - k0);
            const int64_t steps = blocks(k_here), panels = blocks(n_here), rows = (M + m_most - 1) / m_most;
            const int64_t groups = std::min(panels, (2 * threads + rows - 1) / rows);
            const bool adds = add || k0 > 0;
#pragma omp parallel
            {
                static thread_local Scratch<bf16> a_scratch;
                alignas(64) float results[BLOCK * BLOCK];
                int64_t packed_row = -1;
                const Tiles tiles;
                const int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
                const int64_t p0 = panels * thread / team, n = n0 + p0 * BLOCK;
                pack(b_inner ? b + n * ldb + k0 : b + k0 * ldb + n, ldb, b_inner, true,
                     std::min(n_here, panels * (thread + 1) / team * BLOCK) - p0 * BLOCK, k_here,
                     packed_b + p0 * steps * PANEL);
#pragma omp barrier
#pragma omp for schedule(dynamic)
                for (int64_t task = 0; task < rows * groups; task++) {
                    const int64_t row = task / groups, group = task % groups;
                    const int64_t m0 = row * m_most, m_here = std::min(m_most, M - m0);
                    const bool as_it_is = a_inner && k_here % BLOCK == 0 && m_here % BLOCK == 0;
                    bf16* const packed_a = as_it_is ? nullptr : a_scratch(m_most * steps_most * BLOCK);
                    if (!as_it_is && packed_row != row) {
                        pack(a_inner ? a + m0 * lda + k0 : a + k0 * lda + m0, lda, a_inner, false, m_here, k_here,
                             packed_a);
                        packed_row = row;
                    }
                    for (int64_t p = panels * group / groups; p < panels * (group + 1) / groups; p++)
                        for (int64_t m = 0; m < m_here; m += BLOCK) {
                            const int64_t n = n0 + p * BLOCK;
                            const Rows from = as_it_is ? Rows::of(a + (m0 + m) * lda + k0, lda)
                                                       : Rows::packed(packed_a + m / BLOCK * steps * PANEL);
                            multiply(from, packed_b + p * steps * PANEL, steps, results);
                            deliver(results, m_here - m, N - n, bias && !k0 ? bias + n : nullptr, adds,
                                    c + (m0 + m) * ldc + n, ldc);
                        }
                }
            }
        }
}

#endif  // BF16_PRODUCTS

}  // namespace
