<?php

declare(strict_types=1);

namespace Sse\Mercure;

use SensitiveParameter;
use Sse\Endpoint\Origins;
use Sse\Endpoint\Request;
use SseUnavailable;

/** Where clients have their tokens: in a header, in the URL where the version allows it, or in a cookie, in this order. */
final class Credentials
{
    /**
     * @param string  $cookie         The cookie that has the token.
     * @param Origins $publishOrigins Whose pages may publish by it.
     */
    public function __construct(
        private readonly Protocol $protocol,
        private readonly string $cookie,
        private readonly Origins $publishOrigins,
    ) {
    }

    /**
     * What the client's token allows; null if it has none, and why it is refused if it is not valid, or not from where it may
     * come.
     *
     * @throws SseUnavailable It is not known at the moment which keys there are.
     */
    public function of(Request $request, Fields $query, Keys $keys): Claims|Denial|null
    {
        if ($request->header('Authorization') !== '') {
            return $this->read($request->bearer(), $keys);
        }
        if ($this->protocol->takesTokenInUrl() && $query->has('authorization')) {
            $tokens = $query->all('authorization');

            return $this->read(count($tokens) === 1 ? $tokens[0] : null, $keys);
        }
        $token = $request->cookies[$this->cookie] ?? null;
        if (!is_string($token)) {
            return null;
        }
        // A page of another site can make its visitors' browsers post here, with this cookie.
        if ($request->method === 'POST' && $this->publishOrigins->trusts($request) !== true) {
            return Denial::InvalidRequest;
        }

        return $this->read($token, $keys);
    }

    private function read(#[SensitiveParameter] ?string $text, Keys $keys): Claims|Denial
    {
        if ($text === null) {
            return Denial::InvalidRequest;
        }
        $token = Token::read($text, $keys);

        return ($token === null ? null : $this->protocol->claims($token)) ?? Denial::InvalidToken;
    }
}
