// Goes before a kernel's source: what a sanitizer cannot see, masked moves and tiles, says here which bytes it touches.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sanitizer/asan_interface.h>

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

namespace {

inline void touched(const void* at, size_t bytes) {
    auto* byte = (const volatile char*)__asan_region_is_poisoned((void*)at, bytes);
    if (byte) (void)*byte;  // which the sanitizer reports
}

inline size_t reach(uint64_t mask) { return mask ? 64 - __builtin_clzll(mask) : 0; }

inline void touched_tile(const void* at, int64_t stride) {
    for (int line = 0; line < 16; line++) touched((const char*)at + line * stride, 64);
}

}  // namespace

#define _mm512_maskz_loadu_ps(mask, p) (touched(p, 4 * reach(__mmask16(mask))), (_mm512_maskz_loadu_ps)(mask, p))
#define _mm512_maskz_loadu_epi16(mask, p) (touched(p, 2 * reach(__mmask32(mask))), (_mm512_maskz_loadu_epi16)(mask, p))
#define _mm256_maskz_loadu_epi16(mask, p) (touched(p, 2 * reach(__mmask16(mask))), (_mm256_maskz_loadu_epi16)(mask, p))
#define _mm512_mask_storeu_ps(p, mask, x) (touched(p, 4 * reach(__mmask16(mask))), (_mm512_mask_storeu_ps)(p, mask, x))
#define _mm256_mask_storeu_epi16(p, mask, x) \
    (touched(p, 2 * reach(__mmask16(mask))), (_mm256_mask_storeu_epi16)(p, mask, x))
#ifdef _tile_loadd
#undef _tile_loadd
#undef _tile_stored
#define _tile_loadd(tile, p, stride) ({ touched_tile(p, stride); _tile_loadd_internal(tile, p, stride); })
#define _tile_stored(tile, p, stride) ({ touched_tile(p, stride); _tile_stored_internal(tile, p, stride); })
#endif
#endif
