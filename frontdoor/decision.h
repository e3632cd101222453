// Which environment gets a session: one list of tables per deciding step, in the order in which a
// dialogue comes to them.
#pragma once

#include "params.h"

#include "async/task.h"
#include "table/table.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

enum class Step { listener, client, server_name, login, sender, recipient };
inline constexpr std::size_t steps = 6;

std::string_view name_of(Step step); // for log lines

// What a step's tables are asked for, the most specific first.
std::vector<std::string> listener_keys(std::string_view address, std::uint16_t port);
std::vector<std::string> client_keys(std::string_view address);
std::vector<std::string> server_name_keys(std::string_view host); // lower case
std::vector<std::string> login_keys(std::string_view login);
std::vector<std::string> address_keys(std::string_view address); // internal form; empty: the null sender

struct Choice {
    enum class Kind { none, chosen, broken };
    explicit Choice(Kind k) : kind(k) {}

    Kind kind;
    std::string environment; // "-": the primary
};

class Decisions
{
public:
    explicit Decisions(const FrontDoorParams& params);

    bool has(Step step) const { return !tables_[index(step)].empty(); }
    bool has_later_than(Step step) const;
    bool is_stale() const;

    // A table that does not answer, or answers with nonsense, is logged: broken.
    Task<Choice> decide(Step step, std::vector<std::string> keys);

    // Who gets what no table knows; none: nobody.
    Choice fallback() const;

private:
    static std::size_t index(Step step) { return static_cast<std::size_t>(step); }
    Choice chosen(std::string_view name) const;

    std::string own_name_;
    std::string fallback_;
    std::array<TableList, steps> tables_;
};

} // namespace bulkhead
