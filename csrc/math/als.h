// What the solution of a row by normal equations is made of, whoever computes it.
#pragma once

namespace fastcf {

// A pivot of Cholesky's factorisation, relative to the diagonal entry it came from, that rounding leaves of a zero.
inline constexpr float kSmallestPivot = 1e-6f;

}  // namespace fastcf
