// How our products use AMX.
#pragma once

#include <cstdint>

namespace {

// Eight tiles of 16 lines of 64 bytes. A constant: compilers believe that only its first 8 bytes are read, and need not
// write the others of a variable.
struct alignas(64) TileConfig {
    uint8_t palette = 1, rest[15] = {};
    uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
const TileConfig TILE_CONFIG;

}  // namespace
