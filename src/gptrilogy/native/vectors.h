// Sixteen numbers at a time: the vector extensions of GCC and Clang, and intrinsics where they say it better.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 says it of its own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#if defined(__AVX2__) && !defined(__AVX512F__)
#pragma GCC target("tune=skylake-avx512")  // which copies 32 bytes at a time, not 16, for which the next read waits
#endif
#endif

namespace {

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));  // sixteen bf16
typedef int8_t Bytes __attribute__((vector_size(16)));

constexpr int LANES = 16;
constexpr int LINE_BYTES = 64;  // of memory, and of a tile

template <class Vector>
inline Vector load(const void* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class Vector>
inline void store(void* to, const Vector& vector) {
    std::memcpy(to, &vector, sizeof vector);
}

inline Floats all(float value) { return Floats{} + value; }
inline Floats all(float value, int count) {  // and zeros
    const Ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return lanes < Ints{} + count ? all(value) : Floats{};
}
inline Words bits(Floats x) { return (Words)x; }

inline Floats widened(Halves bf16) { return (Floats)(__builtin_convertvector(bf16, Words) << 16); }

inline Halves rounded(Floats x) {  // to the nearest, of two equally near to the even one
    Words word = bits(x);
    return __builtin_convertvector((word + 0x7fff + ((word >> 16) & 1)) >> 16, Halves);
}

inline Floats numbers(const float* from) { return load<Floats>(from); }
inline Floats numbers(const uint16_t* from) { return widened(load<Halves>(from)); }

// The first `count` numbers, and zeros.
#if defined(__AVX512BW__) && defined(__AVX512VL__)
inline uint16_t first(int count) { return (uint16_t)((1u << count) - 1); }
inline Floats numbers(const float* from, int count) { return (Floats)_mm512_maskz_loadu_ps(first(count), from); }
inline Floats numbers(const uint16_t* from, int count) {
    return widened((Halves)_mm256_maskz_loadu_epi16(first(count), from));
}
inline void keep(float* to, Floats x, int count) { _mm512_mask_storeu_ps(to, first(count), (__m512)x); }
inline void keep(uint16_t* to, Floats x, int count) {
    _mm256_mask_storeu_epi16(to, first(count), (__m256i)rounded(x));
}
#else
template <class Number>
inline Floats numbers(const Number* from, int count) {
    Number part[LANES] = {};
    std::memcpy(part, from, count * sizeof(Number));
    return numbers(part);
}
inline void keep(float* to, Floats x, int count) { std::memcpy(to, &x, count * sizeof(float)); }
inline void keep(uint16_t* to, Floats x, int count) {
    Halves halves = rounded(x);
    std::memcpy(to, &halves, count * sizeof(uint16_t));
}
#endif

// b where one of them is no number.
#if defined(__AVX__) && !defined(__AVX512F__)  // of which GCC compares vectors of 64 bytes a number at a time
template <class Half>
inline Floats by_halves(const Floats& a, const Floats& b, Half half) {
    __m256 found[2], x[2], y[2];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    for (int i = 0; i < 2; i++) found[i] = half(x[i], y[i]);
    return load<Floats>(found);
}
inline Floats larger(Floats a, Floats b) {
    return by_halves(a, b, [](__m256 x, __m256 y) { return _mm256_max_ps(x, y); });
}
inline Floats smaller(Floats a, Floats b) {
    return by_halves(a, b, [](__m256 x, __m256 y) { return _mm256_min_ps(x, y); });
}
#else
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
inline Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
#endif

// e^x to within 2 units in the last place; below -87 it stays at e^-87, which is as good as nothing. NaN stays NaN.
inline Floats exponential(Floats x) {
    const Floats magic = all(12582912.0f);  // 1.5 * 2^23: what is added to it is rounded to a whole number
    x = smaller(all(88.0f), larger(all(-87.0f), x));
    Floats shifted = x * 1.44269504f + magic;
    Floats whole = shifted - magic;
    Floats rest = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    Floats power = all(1.9875691500e-4f);
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * (rest * rest) + rest + 1.0f;
    return power * (Floats)(((Ints)shifted - (Ints)magic + 127) << 23);
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), since 0.5 (1 + tanh(y)) = 1 / (1 + e^-2y).
inline Floats gelu(Floats x) {
    Floats y = x * (1.5957691216f + 0.0713548162726f * (x * x));
    return x / (1.0f + exponential(-y));
}

// All sixteen of each of sixteen vectors: lane i is the sum of sums[i], always in the same order.
inline Floats totals(const Floats sums[LANES]) {
#ifdef __AVX512F__
    __m512 four[4];
    for (int i = 0; i < 4; i++) {  // lanes of `four[i]`: a quarter of the sums of 4 i .. 4 i + 3, in each 128 bits
        __m512 a = (__m512)sums[4 * i], b = (__m512)sums[4 * i + 1];
        __m512 c = (__m512)sums[4 * i + 2], d = (__m512)sums[4 * i + 3];
        __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        __m512 low = _mm512_shuffle_ps(ab, cd, 0x44), high = _mm512_shuffle_ps(ab, cd, 0xee);
        four[i] = _mm512_add_ps(low, high);
    }
    __m512 front = _mm512_add_ps(_mm512_shuffle_f32x4(four[0], four[1], 0x88),
                                 _mm512_shuffle_f32x4(four[0], four[1], 0xdd));
    __m512 back = _mm512_add_ps(_mm512_shuffle_f32x4(four[2], four[3], 0x88),
                                _mm512_shuffle_f32x4(four[2], four[3], 0xdd));
    return (Floats)_mm512_add_ps(_mm512_shuffle_f32x4(front, back, 0x88), _mm512_shuffle_f32x4(front, back, 0xdd));
#else
    Floats found;
    for (int i = 0; i < LANES; i++) {
        float part[LANES];
        store(part, sums[i]);
        for (int width = LANES / 2; width; width /= 2)
            for (int lane = 0; lane < width; lane++) part[lane] += part[lane + width];
        found[i] = part[0];
    }
    return found;
#endif
}

inline float total(Floats x) {
    float part[LANES];
    store(part, x);
    for (int width = LANES / 2; width; width /= 2)
        for (int lane = 0; lane < width; lane++) part[lane] += part[lane + width];
    return part[0];
}

template <class Vector>
inline auto largest(Vector x) {
    auto best = x[0];
    for (int lane = 1; lane < LANES; lane++) best = x[lane] > best ? x[lane] : best;
    return best;
}

}  // namespace
