// What is remembered of a client: until when each test counts as passed.  An entry of
// postscreen_cache_map is "t1;t2;t3;t4;t5" (compat/queue-format.md, "Caches").  Pure.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// In the order of an entry.
enum class Test : std::uint8_t { pregreet, dnsbl, pipelining, non_smtp, bare_newline };
constexpr std::size_t test_count = 5;

// A set of tests.
class Tests
{
public:
    Tests() = default;
    void add(Test test) { bits_ |= bit(test); }
    void remove(Test test) { bits_ &= ~bit(test); }
    bool has(Test test) const { return (bits_ & bit(test)) != 0; }
    bool empty() const { return bits_ == 0; }
    bool has_early() const { return has(Test::pregreet) || has(Test::dnsbl); }
    bool has_deep() const { return (bits_ & ~(bit(Test::pregreet) | bit(Test::dnsbl))) != 0; }
    bool operator==(const Tests&) const = default;

private:
    static unsigned bit(Test test) { return 1u << static_cast<unsigned>(test); }
    unsigned bits_ = 0;
};

struct TestResults {
    static constexpr std::int64_t not_passed = 0;
    static constexpr std::int64_t not_tested = 1; // the test was not enabled then

    // Unix times; one of the above where there is none.
    std::array<std::int64_t, test_count> until{};

    std::int64_t& operator[](Test test) { return until[static_cast<std::size_t>(test)]; }
    std::int64_t operator[](Test test) const { return until[static_cast<std::size_t>(test)]; }
    bool operator==(const TestResults&) const = default;

    // Those of `enabled` that do not count as passed now.
    Tests due(const Tests& enabled, std::int64_t now) const;

    // Nothing of it has counted for the retention time: to be removed.
    bool is_forgotten(std::int64_t now, std::int64_t retention) const;
};

// nullopt: no entry that we, or Postfix, could have written.
std::optional<TestResults> parse_test_results(std::string_view text);
std::string entry_text(const TestResults& results);

} // namespace bulkhead
