// Sixteen sums of a product that stay in registers. Where there is no AVX-512 that takes two registers of AVX2: GCC
// would keep a `Floats` in memory and fetch it for every addition.
#pragma once

#include "vectors.h"

namespace {

inline uint32_t four_bytes(const void* from) {
    uint32_t word;
    std::memcpy(&word, from, 4);
    return word;
}

#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)

// So many vectors of sums at a time: eight registers, which leaves as many for what is multiplied.
constexpr int AT_ONCE = 4;

struct Sums {
    __m256 half[2];

    void add(const float* a, const float* b) {  // sixteen products
        for (int i = 0; i < 2; i++)
            half[i] = _mm256_fmadd_ps(_mm256_loadu_ps(a + 8 * i), _mm256_loadu_ps(b + 8 * i), half[i]);
    }

    // Of a line of weights, sixteen pairs of bf16, times a pair.
    void add_pairs(const char* line, uint32_t pair) {
        const __m256i both = _mm256_set1_epi32((int)pair), odd = _mm256_set1_epi32((int)0xffff0000);
        const __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
        const __m256 second = _mm256_castsi256_ps(_mm256_and_si256(both, odd));
        for (int i = 0; i < 2; i++) {
            const __m256i w = _mm256_loadu_si256((const __m256i*)line + i);
            half[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(w, 16)), first, half[i]);
            half[i] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(w, odd)), second, half[i]);
        }
    }

    Floats whole() const { return load<Floats>(half); }
};

#else

constexpr int AT_ONCE = LANES;

struct Sums {
    Floats all;

    void add(const float* a, const float* b) { all += numbers(a) * numbers(b); }

    void add_pairs(const char* line, uint32_t pair) {
        Words w = load<Words>(line), x = Words{} + pair;
#ifdef __AVX512BF16__
        all = (Floats)_mm512_dpbf16_ps((__m512)all, (__m512bh)x, (__m512bh)w);
#else
        all += (Floats)(w << 16) * (Floats)(x << 16);
        all += (Floats)(w & 0xffff0000) * (Floats)(x & 0xffff0000);
#endif
    }

    Floats whole() const { return all; }
};

#endif

// Sixteen sums of whole numbers. VNNI wants one side unsigned: what is added there is x + 128, and `add_shift` what
// that is too much.
struct WholeSums {
#if defined(__AVX512VNNI__)
    Ints all;

    // Of a line of weights, sixteen fours of int8, times four.
    void add_fours(const char* line, uint32_t four) {
        const Words w = load<Words>(line), x = Words{} + (four ^ 0x80808080);
        all = (Ints)_mm512_dpbusd_epi32((__m512i)all, (__m512i)x, (__m512i)w);
    }
    void add_shift(const char* line) { add_fours(line, 0); }
    Ints whole() const { return all; }
#elif defined(__AVX2__)
    __m256i half[2];

    void add_fours(const char* line, uint32_t four) {  // none of them -128
        const __m256i x = _mm256_set1_epi32((int)four), size = _mm256_abs_epi8(x), ones = _mm256_set1_epi16(1);
        for (int i = 0; i < 2; i++) {
            const __m256i w = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i*)line + i), x);
            half[i] = _mm256_add_epi32(half[i], _mm256_madd_epi16(_mm256_maddubs_epi16(size, w), ones));
        }
    }
    void add_shift(const char*) {}
    Ints whole() const { return load<Ints>(half); }
#else
    Ints all;

    void add_fours(const char* line, uint32_t four) {
        const Words w = load<Words>(line), x = Words{} + four;
        for (int byte = 0; byte < 4; byte++)
            all += ((Ints)(w << (24 - 8 * byte)) >> 24) * ((Ints)(x << (24 - 8 * byte)) >> 24);
    }
    void add_shift(const char*) {}
    Ints whole() const { return all; }
#endif
};

// Of so many outputs, those whose sums of ROWS rows fit into registers.
template <int ROWS>
constexpr int at_once(int outputs) {
    return ROWS * outputs <= AT_ONCE ? outputs : AT_ONCE / ROWS;
}

}  // namespace
