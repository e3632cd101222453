#include "mail/addrlist.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

namespace bulkhead
{

namespace
{

struct Token {
    enum class Kind { word, quoted, literal, special };

    Kind kind = Kind::special;
    char sign = '\0';    // special
    std::string content; // quotes removed, brackets of a literal kept
    std::size_t begin = 0;
    std::size_t end = 0;

    bool is(char c) const { return kind == Kind::special && sign == c; }
};

bool is_space(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

constexpr std::string_view specials = "()<>[]:;@\\,.\"";

// Cuts the text into tokens; comments and blanks fall out.
class Tokenizer
{
public:
    Tokenizer(std::string_view text, std::size_t comment_depth) : text_(text), comment_depth_(comment_depth)
    {
    }

    // False at the end of the text.
    Result<bool> next(Token& token);

private:
    Result<> skip_comment();
    void quoted(Token& token);
    void literal(Token& token);

    std::string_view text_;
    std::size_t comment_depth_;
    std::size_t position_ = 0;
};

Result<bool> Tokenizer::next(Token& token)
{
    while (position_ < text_.size() && (is_space(text_[position_]) || text_[position_] == '(')) {
        if (text_[position_] == '(')
            TRY_VOID(skip_comment());
        else
            ++position_;
    }
    if (position_ == text_.size())
        return false;

    token = Token{};
    token.begin = position_;
    const char c = text_[position_];
    if (c == '"') {
        quoted(token);
    } else if (c == '[') {
        literal(token);
    } else if (specials.find(c) != std::string_view::npos) {
        token.sign = c;
        ++position_;
    } else {
        token.kind = Token::Kind::word;
        const auto word_end = [](char x) {
            return is_space(x) || specials.find(x) != std::string_view::npos;
        };
        while (position_ < text_.size() && !word_end(text_[position_]))
            ++position_;
        token.content = text_.substr(token.begin, position_ - token.begin);
    }
    token.end = position_;
    return true;
}

// An open comment ends with the text.
Result<> Tokenizer::skip_comment()
{
    std::size_t depth = 0;
    for (; position_ < text_.size(); ++position_) {
        const char c = text_[position_];
        if (c == '\\')
            position_ = std::min(position_ + 1, text_.size() - 1);
        else if (c == '(' && ++depth > comment_depth_)
            return Error{Fault::limit, "comments are nested too deeply"};
        else if (c == ')' && --depth == 0) {
            ++position_;
            break;
        }
    }
    return {};
}

// An open quoted string ends with the text; line breaks of folding fall out.
void Tokenizer::quoted(Token& token)
{
    token.kind = Token::Kind::quoted;
    for (++position_; position_ < text_.size(); ++position_) {
        char c = text_[position_];
        if (c == '"') {
            ++position_;
            return;
        }
        if (c == '\\' && position_ + 1 < text_.size())
            c = text_[++position_];
        if (c != '\r' && c != '\n')
            token.content.push_back(c);
    }
}

void Tokenizer::literal(Token& token)
{
    token.kind = Token::Kind::literal;
    for (; position_ < text_.size(); ++position_) {
        const char c = text_[position_];
        if (!is_space(c))
            token.content.push_back(c);
        if (c == ']') {
            ++position_;
            return;
        }
    }
}

using Tokens = std::vector<Token>;

// One addr-spec read from tokens [from, next).
struct Spec {
    std::string local;
    std::string domain;
    std::size_t next = 0;
    bool has_domain = false;

    std::string address() const { return has_domain ? local + '@' + domain : local; }
};

// Appends words between dots and gives the place behind them.  Two words side by
// side belong to different addresses: "a@b c@d" is a list whose comma was forgotten.
std::size_t take_words(const Tokens& tokens, std::size_t i, bool may_be_quoted, std::string& out)
{
    for (bool after_word = false; i < tokens.size(); ++i) {
        const Token& token = tokens[i];
        const bool word =
            token.kind == Token::Kind::word || (may_be_quoted && token.kind == Token::Kind::quoted);
        if (!token.is('.') && (!word || after_word))
            break;
        after_word = word;
        out += word ? token.content : ".";
    }
    return i;
}

Spec read_spec(const Tokens& tokens, std::size_t from)
{
    Spec spec;
    spec.next = take_words(tokens, from, true, spec.local);
    if (spec.next == from || spec.next == tokens.size() || !tokens[spec.next].is('@'))
        return spec;
    const std::size_t domain = spec.next + 1;
    if (domain < tokens.size() && tokens[domain].kind == Token::Kind::literal) {
        spec.domain = tokens[domain].content;
        spec.next = domain + 1;
    } else {
        spec.next = take_words(tokens, domain, false, spec.domain);
    }
    spec.has_domain = spec.next > domain;
    if (!spec.has_domain)
        spec.next = from;
    return spec;
}

// Whether the internal form means this address and no other: an '@' that was
// quoted needs a domain behind it, and a literal may hold none.
bool is_usable(const Spec& spec)
{
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    const auto in_literal = [](char c) {
        return is_alpha(c) || is_digit(c) || c == ':' || c == '.' || c == '-';
    };
    const std::string_view domain = spec.domain;
    if (domain.starts_with('[') &&
        (!is_domain_literal(domain) || !std::ranges::all_of(domain.substr(1, domain.size() - 2), in_literal)))
        return false;
    return !spec.local.empty() && spec.local.size() <= local_part_limit && domain.size() <= domain_limit &&
           (spec.has_domain || spec.local.find('@') == std::string::npos) &&
           std::ranges::none_of(spec.local, control) && std::ranges::none_of(domain, control);
}

class ListParser
{
public:
    ListParser(std::string_view text, const AddressListLimits& limits)
        : tokenizer_(text, limits.comment_depth), limits_(limits)
    {
    }

    Result<AddressList> parse();

private:
    Result<> outside(Token token);
    Result<> inside(Token token);
    Result<> end_of_element();
    Result<> end_of_brackets();
    Result<> add(const Spec& spec, std::size_t begin, std::size_t end);
    Result<> append(std::string address, std::size_t begin, std::size_t end);

    Tokenizer tokenizer_;
    const AddressListLimits& limits_;
    AddressList list_;
    Tokens tokens_; // of the element, or of what the brackets hold
    bool in_brackets_ = false;
    bool had_brackets_ = false;     // this element gave its address already
    std::size_t bracket_begin_ = 0; // behind the '<'
};

Result<AddressList> ListParser::parse()
{
    Token token;
    for (;;) {
        TRY(const bool more, tokenizer_.next(token));
        if (!more)
            break;
        TRY_VOID(in_brackets_ ? inside(std::move(token)) : outside(std::move(token)));
    }
    if (in_brackets_)
        TRY_VOID(end_of_brackets());
    TRY_VOID(end_of_element());
    return std::move(list_);
}

Result<> ListParser::outside(Token token)
{
    if (token.is(',') || token.is(';'))
        return end_of_element();
    if (token.is(':')) { // the name of a group
        list_.has_group = true;
        tokens_.clear();
        had_brackets_ = false;
        return {};
    }
    if (token.is('<')) {
        tokens_.clear(); // a display name
        in_brackets_ = true;
        bracket_begin_ = token.end;
        return {};
    }
    tokens_.push_back(std::move(token));
    return {};
}

Result<> ListParser::inside(Token token)
{
    if (token.is('>'))
        return end_of_brackets();
    const bool route = !tokens_.empty() && tokens_.front().is('@');
    if (token.is(',') && !route) { // the closing bracket was forgotten
        TRY_VOID(end_of_brackets());
        return end_of_element();
    }
    tokens_.push_back(std::move(token));
    return {};
}

Result<> ListParser::end_of_brackets()
{
    in_brackets_ = false;
    had_brackets_ = true;
    const Tokens tokens = std::exchange(tokens_, {});
    if (tokens.empty())
        return append({}, bracket_begin_, bracket_begin_);

    std::size_t first = 0;
    if (tokens.front().is('@')) {
        const auto colon = std::ranges::find_if(tokens, [](const Token& t) { return t.is(':'); });
        if (colon == tokens.end()) {
            ++list_.malformed;
            return {};
        }
        first = static_cast<std::size_t>(colon - tokens.begin()) + 1;
    }
    const Spec spec = read_spec(tokens, first);
    if (spec.next == first || spec.next != tokens.size()) {
        ++list_.malformed;
        return {};
    }
    return add(spec, tokens.front().begin, tokens.back().end);
}

Result<> ListParser::end_of_element()
{
    const Tokens tokens = std::exchange(tokens_, {});
    if (std::exchange(had_brackets_, false) || tokens.empty())
        return {};

    std::vector<Spec> found;
    bool all_have_domains = true;
    for (std::size_t i = 0; i < tokens.size(); i = found.back().next) {
        found.push_back(read_spec(tokens, i));
        if (found.back().next == i) {
            ++list_.malformed;
            return {};
        }
        all_have_domains = all_have_domains && found.back().has_domain;
    }
    if (found.size() > 1 && !all_have_domains) { // a display name without an address
        ++list_.malformed;
        return {};
    }
    std::size_t first = 0;
    for (const Spec& spec : found) {
        TRY_VOID(add(spec, tokens[first].begin, tokens[spec.next - 1].end));
        first = spec.next;
    }
    return {};
}

Result<> ListParser::add(const Spec& spec, std::size_t begin, std::size_t end)
{
    if (is_usable(spec))
        return append(spec.address(), begin, end);
    ++list_.malformed;
    return {};
}

Result<> ListParser::append(std::string address, std::size_t begin, std::size_t end)
{
    if (list_.addresses.size() >= limits_.addresses)
        return Error{Fault::limit, "too many addresses in one header"};
    list_.addresses.emplace_back(std::move(address), begin, end);
    return {};
}

} // namespace

Result<AddressList> parse_address_list(std::string_view text, const AddressListLimits& limits)
{
    return ListParser(text, limits).parse();
}

} // namespace bulkhead
