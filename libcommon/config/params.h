// Parameters declared once, as members of a struct next to the code that uses them:
//
//     struct SmtpdParams : ParamSet {
//         Param<Seconds> timeout{this, "smtpd_timeout", "${stress?{10}:{300}}s", at_least(1),
//                                "how long to wait for the client's next command"};
//     };
//
// load() fills them all and names the first bad one; afterwards params.timeout() is a
// plain typed value.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead
{

class Config;

// Inclusive bounds of a number or a time (in seconds), and the unit of a bare time.
struct Bounds {
    std::int64_t low = std::numeric_limits<std::int64_t>::min();
    std::int64_t high = std::numeric_limits<std::int64_t>::max();
    char unit = 's';

    // at_least(1).in('d'): "5" means five days.
    constexpr Bounds in(char time_unit) const { return {low, high, time_unit}; }
};

constexpr Bounds at_least(std::int64_t low)
{
    return {low, std::numeric_limits<std::int64_t>::max(), 's'};
}
constexpr Bounds between(std::int64_t low, std::int64_t high)
{
    return {low, high, 's'};
}
constexpr Bounds any_value{};

// A string that is kept unexpanded, for values with $names that only mean something
// later (forward_path, default_rbl_reply, smtpd_expansion_filter).
struct RawText {
    std::string text;
};

class ParamSet;

// What every declared parameter has; Param<T> adds the value.
class ParamBase
{
public:
    const std::string& name() const { return name_; }
    std::string_view default_value() const { return default_; }
    std::string_view help() const { return help_; }
    const Bounds& bounds() const { return bounds_; }

protected:
    ParamBase(ParamSet* set, std::string name, std::string_view default_value, Bounds bounds,
              std::string_view help);
    ParamBase(const ParamBase&) = delete;
    ~ParamBase() = default;

private:
    friend class ParamSet;
    virtual Result<> assign(const std::string& text) = 0; // error: the bare reason
    virtual bool wants_raw() const { return false; }

    std::string name_;
    std::string_view default_; // a literal
    Bounds bounds_;
    std::string_view help_; // a literal
};

class ParamSet
{
public:
    ParamSet() = default;
    // For a program that is two in one: what is declared as "smtp_x" is read as "lmtp_x", with
    // that name's default.  Names whose changed form is not known stay as they are.
    using NameChange = std::string (*)(std::string_view declared);
    explicit ParamSet(NameChange change) : name_change_(change) {}
    ParamSet(const ParamSet&) = delete; // members point back here
    ParamSet& operator=(const ParamSet&) = delete;
    virtual ~ParamSet() = default;

    // Fills every member from what the user set, else from the declared default.
    // The error reads "/etc/x/main.cf, line 7: smtpd_timeout: bad time value \"5x\"".
    Result<> load(const Config& config);

    std::span<ParamBase* const> params() const { return params_; }

    // Names whose declared default differs from the table of known names, or that
    // the table lacks.  Each program's unit test expects none.
    std::vector<std::string> disagreements() const;

private:
    friend class ParamBase;
    std::vector<ParamBase*> params_;
    NameChange name_change_ = nullptr;
};

namespace detail
{
Result<> assign_value(const std::string& text, const Bounds& bounds, bool& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, int& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, std::int64_t& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, Seconds& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, std::string& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, RawText& value);
Result<> assign_value(const std::string& text, const Bounds& bounds, std::vector<std::string>& value);
} // namespace detail

// T: bool, int, std::int64_t, Seconds, std::string (expanded), RawText, std::vector<std::string>.
template <typename T> class Param final : public ParamBase
{
public:
    Param(ParamSet* set, std::string name, std::string_view default_value, Bounds bounds,
          std::string_view help)
        : ParamBase(set, std::move(name), default_value, bounds, help)
    {
    }
    Param(ParamSet* set, std::string name, std::string_view default_value, std::string_view help)
        : Param(set, std::move(name), default_value, any_value, help)
    {
    }

    const T& operator()() const { return value_; }
    void set(T value) { value_ = std::move(value); } // for tests

private:
    Result<> assign(const std::string& text) override { return detail::assign_value(text, bounds(), value_); }
    bool wants_raw() const override { return std::is_same_v<T, RawText>; }

    T value_{};
};

} // namespace bulkhead
