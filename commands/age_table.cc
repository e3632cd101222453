#include "age_table.h"

#include "base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t min_width = 80;
static constexpr std::size_t min_column = 2;
static constexpr std::size_t min_name = 18;

std::string counted_domain(std::string_view address)
{
    if (address.empty())
        return "MAILER-DAEMON";
    return lower(address.substr(address.rfind('@') + 1)); // npos + 1 is 0
}

AgeTable::AgeTable(const AgeTableOptions& options) : options_(options), total_(options.buckets + 1)
{
    std::int64_t bound = options.first_bucket;
    for (std::size_t i = 1; i < options.buckets; ++i) {
        bounds_.push_back(bound);
        bound += options.linear ? options.first_bucket : bound;
    }
}

std::size_t AgeTable::bucket_of(std::int64_t age) const
{
    return static_cast<std::size_t>(std::upper_bound(bounds_.begin(), bounds_.end(), age) - bounds_.begin());
}

void AgeTable::add(std::string_view domain, std::int64_t age)
{
    const std::size_t bucket = bucket_of(age);
    const auto count = [&](std::vector<std::size_t>& counts) {
        counts.resize(options_.buckets + 1);
        ++counts[0];
        ++counts[bucket + 1];
    };
    count(total_);
    count(domains_[std::string(domain)]);
    if (options_.parents && !domain.starts_with('['))
        count_parents(domain, bucket);
}

// "a.b.example.com" belongs to ".b.example.com" and ".example.com", not to ".com".
void AgeTable::count_parents(std::string_view domain, std::size_t bucket)
{
    for (std::size_t dot = domain.find('.'); dot != domain.npos; dot = domain.find('.')) {
        const std::string_view parent = domain.substr(dot);
        if (parent.find('.', 1) == parent.npos)
            return;
        Parent& found = parents_[std::string(parent)];
        found.counts.resize(options_.buckets + 1);
        ++found.counts[0];
        ++found.counts[bucket + 1];
        found.children.emplace(domain);
        domain = parent.substr(1);
    }
}

// The end of a name that is too long, behind a '+'.
static std::string fitted(std::string_view name, std::size_t width)
{
    if (name.size() <= width)
        return std::string(name);
    return fmt::format("+{}", name.substr(name.size() - width + 1));
}

std::string AgeTable::text(std::size_t max_rows) const
{
    std::vector<std::string> headings{"T"};
    for (const std::int64_t bound : bounds_)
        headings.push_back(fmt::format("{}", bound / 60));
    headings.push_back(fmt::format("{}+", bounds_.empty() ? 0 : bounds_.back() / 60));

    std::vector<std::size_t> widths;
    std::size_t used = 0;
    for (std::size_t i = 0; i < headings.size(); ++i) {
        widths.push_back(std::max({min_column, headings[i].size(), fmt::format("{}", total_[i]).size()}));
        used += widths.back() + 1;
    }
    const std::size_t line = std::max(options_.width, min_width);
    const std::size_t name_width = line > used + min_name ? line - used : min_name;

    std::string out;
    const auto add_row = [&](std::string_view name, const auto& cells) {
        out += fmt::format("{:>{}}", fitted(printable(name, true), name_width), name_width);
        for (std::size_t i = 0; i < widths.size(); ++i)
            out += fmt::format(" {:>{}}", cells[i], widths[i]);
        out += '\n';
    };
    add_row("", headings);
    add_row("TOTAL", total_);

    std::vector<std::pair<std::string_view, const Counts*>> rows;
    for (const auto& [name, counts] : domains_)
        rows.emplace_back(name, &counts);
    for (const auto& [name, parent] : parents_)
        if (parent.children.size() >= options_.min_subdomains)
            rows.emplace_back(name, &parent.counts);
    std::ranges::sort(rows, [](const auto& a, const auto& b) {
        return std::pair((*b.second)[0], a.first) < std::pair((*a.second)[0], b.first);
    });
    if (max_rows > 0 && rows.size() > max_rows)
        rows.resize(max_rows);
    for (const auto& [name, counts] : rows)
        add_row(name, *counts);
    return out;
}

} // namespace bulkhead
