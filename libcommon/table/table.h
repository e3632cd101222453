// Lookup tables: `type:name`.  A lookup has three answers, and there is no way to ask
// without meeting the third.  Most types answer from memory or from an open file, at
// once, and work after chroot because they are opened before it; those that ask a
// server may_block(), and workers ask them on a pool thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace bulkhead
{

// found(value), absent, or broken(reason): broken must become a temporary failure.
class [[nodiscard]] Lookup
{
public:
    static Lookup found(std::string value) { return Lookup(State(std::in_place_index<0>, std::move(value))); }
    static Lookup absent() { return Lookup(State(std::in_place_index<1>)); }
    static Lookup broken(std::string reason)
    {
        return Lookup(State(std::in_place_index<2>, Reason{std::move(reason)}));
    }

    bool is_found() const { return state_.index() == 0; }
    bool is_absent() const { return state_.index() == 1; }
    bool is_broken() const { return state_.index() == 2; }
    const std::string& value() const { return std::get<0>(state_); }
    const std::string& reason() const { return std::get<2>(state_).text; }

    // on_found(const std::string& value), on_absent(), on_broken(const std::string& reason).
    template <typename Found, typename Absent, typename Broken>
    auto match(Found&& on_found, Absent&& on_absent, Broken&& on_broken) const
    {
        switch (state_.index()) {
        case 0:
            return std::forward<Found>(on_found)(value());
        case 1:
            return std::forward<Absent>(on_absent)();
        default:
            return std::forward<Broken>(on_broken)(reason());
        }
    }

private:
    struct Reason {
        std::string text;
    };
    using State = std::variant<std::string, std::monostate, Reason>;
    explicit Lookup(State state) : state_(std::move(state)) {}

    State state_;
};

class Table
{
public:
    virtual ~Table() = default;

    // One key, as it is: what to try when it is absent is address_lookup.h's business.
    // May be called from several threads at once; a table with state of its own locks it.
    virtual Lookup find(std::string_view key) = 0;

    // True when find() may wait for another process: then it must not run on the loop.
    virtual bool may_block() const { return false; }

    // False for tables that match patterns (regexp, pcre, cidr): callers then ask once with
    // the whole key instead of with its parts.
    virtual bool has_fixed_keys() const { return true; }

    // True when the source has changed since it was opened: the worker should hand over.
    virtual bool is_stale() const { return false; }

    // Calls visit(key, value) for all entries; most types cannot.
    using Visitor = std::function<Result<>(std::string_view key, std::string_view value)>;
    virtual Result<> for_each(const Visitor& visit) const;

    // "type:name", for messages.
    const std::string& spec() const { return spec_; }
    void set_spec(std::string spec) { spec_ = std::move(spec); }

private:
    std::string spec_;
};

struct TableOptions {
    bool fold_fixed_keys = true;   // lower-case the key of hash-like tables
    bool fold_patterns = true;     // regexp and pcre ignore case by default
    bool is_alias_source = false;  // the source is an aliases(5) file: texthash, and a database to rebuild
    bool values_are_files = false; // values name files, whose contents are the answer (postmap -F)
    std::string default_type = "hash"; // for a name without a type
    std::string queue_directory;       // where private/proxymap is; empty: the current folder
    std::string parameter;             // that names the table; for decision.h
};

// Opens "type:name" (braces around the whole are allowed).  Fault::config: "unsupported dictionary type: x".
Result<std::unique_ptr<Table>> open_table(std::string_view spec, const TableOptions& options = {});

// The same for workers: a table that cannot be opened is logged, and every look-up in it is
// broken, so that the mail that needs it waits and everything else goes on.
std::unique_ptr<Table> open_table_or_unavailable(std::string_view spec, const TableOptions& options = {});

// The types that open_table() knows and has the modules for, sorted: postconf -m.
std::vector<std::string_view> table_types();

// "type:name" -> {type, name}; a bare name gets the default type.
std::pair<std::string_view, std::string_view> split_table_spec(std::string_view spec,
                                                               std::string_view default_type);

// A list of tables as in transport_maps: asked in order, the first hit wins, a
// broken table stops the search.
class TableList
{
public:
    TableList() = default;

    // Elements as open_table_or_unavailable() has them; nis: and nisplus:, which
    // distributions still put into defaults, are left out.
    static TableList open(std::string_view list, const TableOptions& options = {});

    // The tables that a parameter (Param<std::string>) names.
    template <typename Parameter>
        requires requires(const Parameter& parameter) { parameter.name(); }
    static TableList open(const Parameter& parameter, TableOptions options = {})
    {
        options.parameter = parameter.name();
        return open(parameter(), options);
    }

    // With fixed_keys_only, pattern tables are left out (partial keys).
    Lookup find(std::string_view key, bool fixed_keys_only = false);

    bool empty() const { return tables_.empty(); }
    bool may_block() const; // one of them: use co_await ask() of ask.h
    bool is_stale() const;
    const std::vector<std::unique_ptr<Table>>& tables() const { return tables_; }

private:
    std::string parameter_;
    std::vector<std::unique_ptr<Table>> tables_;
};

} // namespace bulkhead
