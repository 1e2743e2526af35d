// Which funds each tolerance may see, one bit a fund: what is looked up for a customer in place of F comparisons.
#pragma once
#include <cstdint>
#include <vector>

namespace ptofa {

class Levels {
 public:
  Levels(const int8_t* risk, int64_t funds) : words_((funds + 63) / 64), seen_(static_cast<size_t>(256 * words_)) {
    for (int64_t f = 0; f < funds; ++f) seen_[at(risk[f], f >> 6)] |= uint64_t{1} << (f & 63);
    for (int level = -127; level < 128; ++level)
      for (int64_t w = 0; w < words_; ++w) seen_[at(level, w)] |= seen_[at(level - 1, w)];
  }

  int64_t words() const { return words_; }

  // Of the funds 64 w ... 64 w + 63.
  uint64_t seen(int tolerance, int64_t w) const { return seen_[at(tolerance, w)]; }

 private:
  size_t at(int level, int64_t w) const { return static_cast<size_t>((level + 128) * words_ + w); }

  int64_t words_;
  std::vector<uint64_t> seen_;
};

}  // namespace ptofa
