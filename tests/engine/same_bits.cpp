// Passes over customers made of whole numbers alone; what they find is printed as one number, to be compared with that
// of another compiler or processor.
#include <cfenv>
#include <cstdio>

#include "choices.cpp"
#include "price.cpp"

namespace {

uint64_t state = 1;
uint64_t draw() {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t hash = 0xcbf29ce484222325;
template <class T>
void note(const std::vector<T>& values) {
  for (const T& value : values) {
    unsigned char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (unsigned char b : bytes) hash = (hash ^ b) * 0x100000001b3;
  }
}

void look(int64_t rows, int64_t funds, int64_t k, bool masked) {
  const size_t u = static_cast<size_t>(rows), f = static_cast<size_t>(funds), slots = u * static_cast<size_t>(k);
  const int64_t words = (funds + 63) / 64;
  std::vector<float> revenue(u * f);
  for (float& x : revenue) x = static_cast<float>(draw() >> 40) * 0x1p-22f * (draw() % 16 ? 1.0f : -0x1p-140f);
  std::vector<int8_t> tolerance(u), own(u), risk(f);
  for (int8_t& x : tolerance) x = static_cast<int8_t>(draw() % 5);
  for (int8_t& x : own) x = static_cast<int8_t>(draw() % static_cast<uint64_t>(k + 1));
  for (int8_t& x : risk) x = static_cast<int8_t>(draw() % 4);
  std::vector<uint64_t> mask(u * static_cast<size_t>(words));
  for (uint64_t& x : mask) x = draw() | draw();
  std::vector<double> offset(f), delta((f + 1) * (f + 1));
  for (double& x : offset) x = -static_cast<double>(draw() % 3000000);
  for (double& x : delta) x = static_cast<double>(draw() % 500000);

  std::vector<int64_t> counts(f + 1), swaps(delta.size()), value(2);
  std::vector<int16_t> held(slots), other(slots), chosen(slots);
  std::vector<double> margin(slots);
  const uint64_t* seen = masked ? mask.data() : nullptr;
#define CUSTOMERS \
  revenue.data(), tolerance.data(), risk.data(), seen, words, funds, offset.data(), 0x1p20, own.data(), k, rows, 0, 1, 3
  const ptofa::price_pass pass{CUSTOMERS, delta.data(), counts.data(), swaps.data(), value.data()};
  const ptofa::choices list{CUSTOMERS, held.data(), other.data(), margin.data(), value.data()};
  const ptofa::take take{CUSTOMERS, chosen.data()};
  std::fesetround(FE_UPWARD);  // the caller's; it must not matter
  if (ptofa_price_pass(&pass) || ptofa_choices(&list) || ptofa_take(&take)) std::puts("failed");
  std::fesetround(FE_TONEAREST);
  note(counts), note(swaps), note(value), note(held), note(other), note(margin), note(chosen);
}

}  // namespace

int main() {
  for (bool masked : {false, true})
    for (int64_t funds : {1, 5, 8, 70})
      for (int64_t k : {1, 3, 7})
        if (k <= funds) look(3000 / funds, funds, k, masked);
  std::printf("%016llx\n", static_cast<unsigned long long>(hash));
}
