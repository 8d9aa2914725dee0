/// Runs a test body once for every instruction set that the kernels were built for and this machine
/// has.
#pragma once

#include "simd/targets.h"

#include <hwy/highway.h>

#include <gtest/gtest.h>

namespace vdb::simd {

template <class Body>
void ForEachTarget(Body body) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace vdb::simd
