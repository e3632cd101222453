// Which names count as parameters: built in, made from services, or defined by the person
// and used somewhere.  What is set and used nowhere, or used and set nowhere, is
// reported.  (compat/feature-map.md, 0 and b)
#pragma once

#include "config/config.h"
#include "service_line.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::postconf
{

// True for values whose $names get their meaning from a session or a recipient: they are
// neither searched nor expanded here.
bool is_expanded_late(std::string_view name);

class ParameterNames
{
public:
    ParameterNames(const Config& config, const std::vector<ServiceLine>& services);

    // What -C knows: names that are shown when nobody asked for one.
    const std::set<std::string>& builtin() const { return builtin_; }
    const std::set<std::string>& service() const { return service_; }
    const std::set<std::string>& user() const { return user_; }

    // True for all of those and for legacy names.
    bool is_known(std::string_view name) const;

    // "/etc/x/main.cf: undefined parameter: x" and "...: unused parameter: x=y".
    std::vector<std::string> undefined(const std::string& main_file, const std::string& master_file) const;
    std::vector<std::string> unused(const std::string& main_file, const std::string& master_file) const;

    // Those of master.cf alone.
    std::vector<std::string> unused_in_services(const std::string& master_file) const;

private:
    void add_services();
    void add_references();
    void add_reference(const std::string& name);
    void add_table_names(std::string_view value);
    void look_into(const ServiceLine& service);

    const Config& config_;
    const std::vector<ServiceLine>& services_;
    std::set<std::string> builtin_;
    std::set<std::string> service_;
    std::set<std::string> user_;
    std::set<std::string> undefined_in_main_;
    std::set<std::string> undefined_in_master_;
    std::vector<std::string> unused_in_master_; // name=value
};

} // namespace bulkhead::postconf
