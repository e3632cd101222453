// One environment's parameters: main.cf, the `-o` overrides on top, and the
// built-in default of every known name below.  Values are expanded on demand.
// Read once, then constant: nothing in it looks at files after load(), except
// for what a value itself names.
#pragma once

#include "base/result.h"
#include "config/level.h"
#include "config/main_cf.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct ServiceEntry;

// A setting that changes nothing: of a name that nobody knows (a typing mistake, or somebody
// else's parameter), or that is known and not implemented yet.
struct UnknownName {
    std::string name;
    Setting setting;
};

class Config
{
public:
    Config() = default;

    // Reads DIR/main.cf and lays "name=value" overrides on top, in order.  Every known
    // setting is expanded once here: loops and bad syntax are reported as
    // "DIR/main.cf, line 7: smtpd_banner: <reason>".  process_name is what
    // $process_name gives.
    static Result<Config> load(const std::string& config_directory,
                               std::span<const std::string> overrides = {},
                               std::string_view process_name = {});

    // The same without a file, for tests and for tools that have read it already.
    static Result<Config> from(MainCf main, const std::string& config_directory,
                               std::span<const std::string> overrides = {},
                               std::string_view process_name = {});

    // One more "name=value" on top, as a service's -o does.
    Result<> override(std::string_view assignment);

    // The expanded value; empty for a name that nobody knows.  After load()
    // this cannot fail for known names.
    std::string get(std::string_view name) const;

    // The expanded value, or why it cannot be expanded.
    Result<std::string> expanded(std::string_view name) const;

    // Expands any text with this environment's parameters.
    Result<std::string> expand_text(std::string_view text) const;

    // The value as written, or the default expression; nullopt for an unknown name.
    std::optional<std::string> raw(std::string_view name) const;

    // The default expression alone, computed where it depends on the machine.
    std::optional<std::string> default_value(std::string_view name) const;

    // Typed shortcuts for a single value; the error names place, name and reason.
    Result<bool> get_bool(std::string_view name) const;
    Result<std::int64_t> get_int(std::string_view name) const;
    // In seconds; a bare number counts in `unit` (s m h d w).
    Result<std::int64_t> get_seconds(std::string_view name, char unit = 's') const;
    // Elements between commas and blanks; { } protects.
    std::vector<std::string> get_list(std::string_view name) const;

    // True when main.cf or an override sets the name.
    bool has_user_setting(std::string_view name) const { return main_.find(name) != nullptr; }

    // "/etc/x/main.cf, line 7", "-o", or "built-in default": for messages on a value.
    std::string place(std::string_view name) const;

    // <transport><suffix> if set, else the value of the default_ name:
    // transport_value("relay", "_destination_concurrency_limit").
    std::string transport_value(std::string_view transport, std::string_view suffix) const;

    // Names that are neither known, nor mentioned by a value or by a service's
    // arguments, nor of a per-transport form.  For the warning at start and postconf.
    std::vector<UnknownName> unknown_names(std::span<const ServiceEntry> services = {}) const;

    // Known names without effect so far that main.cf or a service's -o sets to
    // something other than their default: each once, at its first place.
    std::vector<UnknownName> unimplemented_names(std::span<const ServiceEntry> services = {}) const;

    const MainCf& main_cf() const { return main_; }
    const std::string& config_directory() const { return config_directory_; }
    std::string queue_directory() const { return get("queue_directory"); }
    CompatibilityLevel compatibility_level() const;

    // $service_name, set by a worker from its -n.
    void set_service_name(std::string_view name) { service_name_ = name; }

private:
    Result<> check();
    std::optional<std::string> effective(std::string_view name) const;
    bool differs_from_default(std::string_view name, std::string_view value) const;
    std::optional<std::string> machine_default(std::string_view name) const;

    MainCf main_;
    std::string config_directory_;
    std::string process_name_;
    std::string service_name_;
    mutable std::map<std::string, std::string, std::less<>> machine_values_; // asked of the system once
    std::optional<std::string> origin_from_file_;                            // myorigin = /path
};

} // namespace bulkhead
