// The definition of a table that asks a server: a file of `name = value` lines (mysql:/etc/x.cf), or,
// in the old form without a slash (mysql:x), parameters x_hosts, x_query, ... in main.cf.  Values of
// a file are taken as they are, without $expansion: passwords may have any character.
#pragma once

#include "config/config.h"
#include "table/server_module.h"

#include <optional>

namespace bulkhead
{

// Where main.cf is for the old form; the default is default_config_directory().  Before tables are opened.
void set_main_cf_of_tables(std::string config_directory);

class ClientConfig final : public ServerSettings
{
public:
    // Fault::config or io: no such file, file and line of a syntax error.
    static Result<ClientConfig> read(std::string_view name);

    bool has(std::string_view name) const override;
    std::string text(std::string_view name, std::string_view fallback = {}) override;
    int number(std::string_view name, int fallback, int least, int most) override;
    int seconds(std::string_view name, int fallback) override;
    bool flag(std::string_view name, bool fallback) override;
    std::vector<std::string> list(std::string_view name, std::string_view fallback = {}) override;

    // Notes "FILE, line N: name: reason"; the first one counts.
    void complain(std::string_view name, std::string_view reason) override;
    Result<> verdict() const;

private:
    std::optional<std::string> find(std::string_view name) const;

    MainCf file_;
    std::optional<Config> main_; // for the old form
    std::string prefix_;
    std::string path_;
    std::optional<Error> complaint_;
};

} // namespace bulkhead
