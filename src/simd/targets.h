/// Which instruction sets the kernels are compiled for. Include it before any Highway header, in
/// every file that has kernels and in tests that choose a target.
///
/// x86-64: AVX3_DL (AVX-512 with VNNI), AVX3, AVX2, SSSE3 and SCALAR, which is any x86-64 machine.
/// SSE4 is left out: no machine that matters has it without AVX2. arm64: NEON; SVE is left out
/// because the kernels keep vectors in arrays.
#pragma once

#define HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// SCALAR rather than EMU128 as the fallback: g++ before 12.3 miscompiles EMU128, and one fallback
// for all compilers needs one test.
#define HWY_BROKEN_EMU128 1
