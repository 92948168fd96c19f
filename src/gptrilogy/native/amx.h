// AMX: how our products set up its tiles, and whether the system lets this process have them.
#pragma once

#include <cstdint>

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__linux__)
#define HAS_AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

// Eight tiles of 16 lines of 64 bytes. A constant: compilers believe that only its first 8 bytes are read, and need not
// write the others of a variable.
struct alignas(64) TileConfig {
    uint8_t palette = 1, rest[15] = {};
    uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
const TileConfig TILE_CONFIG;

inline bool amx_allowed() {
#ifdef HAS_AMX
    constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18;
    static const bool allowed = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
    return allowed;
#else
    return false;
#endif
}

}  // namespace
