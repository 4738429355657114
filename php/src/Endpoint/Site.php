<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Closure;
use LogicException;
use SensitiveParameter;
use Sse\Policy;
use Sse\Publisher\ExtensionPublisher;
use Sse\PublisherInterface;

/**
 * How a site has its endpoints. One file returns it, which all of them run:
 *
 * ```php
 * <?php // sse-site.php, in the folder above the document root
 * use Sse\Endpoint\Site;
 * use Sse\Policy;
 *
 * session_start(['read_and_close' => true]);
 * $user = $_SESSION['user'] ?? null;
 *
 * return new Site(
 *     watch: Policy::roles(
 *         ['guest' => ['news'], 'member' => ['chat.*', 'users.{user}.**']],
 *         $user === null ? ['guest'] : ['guest', 'member'],
 *         ['user' => $user],
 *     ),
 *     publish: $user === null ? Policy::none() : Policy::patterns('chat.*'),
 *     prepare: fn (string $topic, mixed $data) => is_string($data['text'] ?? null)
 *         ? ['from' => $user, 'text' => mb_substr($data['text'], 0, 2000)]
 *         : null,
 * );
 * ```
 */
final class Site
{
    private const SHORTEST_TOKEN = 16;

    public readonly Origins $origins;
    /** @var Closure(string, mixed): mixed|null */
    public readonly ?Closure $prepare;
    /** @var Closure(string): bool|null */
    public readonly ?Closure $csrf;

    /**
     * @param Policy        $watch       What this request's client may watch.
     * @param Policy|null   $publish     What it may publish to. Null: nothing.
     * @param callable|null $prepare     `function (string $topic, mixed $data): mixed` makes what is published of what
     *                                   was sent: adds who sent it, checks and cuts it. Null from it refuses the
     *                                   message. What it throws is an error 500. Without it, the data goes on as it
     *                                   came.
     * @param callable|null $csrf        `function (string $token): bool` checks a token of yours, from the header
     *                                   `X-CSRF-Token` or the field `csrf_token`, in addition to where a message comes
     *                                   from.
     * @param list<string>  $origins     Other origins whose pages may use the endpoints with cookies.
     * @param string|null   $grantKey    The key of {@see \Sse\Grant}s that `stream.php` takes. Null: it takes none.
     * @param string|null   $user        Who this request's client is, for grants that are for one user, and as the user of
     *                                   its streams (option `user` of sse_stream()), whose topics nobody else may change.
     * @param bool          $grantInUrl  Whether a grant may be in the URL, as the parameter `grant`.
     * @param int           $reauthorize Seconds after which a stream asks again whether its client may have it; 0:
     *                                   never.
     * @param string|null   $env         The path of `.apienv`, for `get_sse_config.php`. Null: it is in the folder
     *                                   above the document root.
     * @param PublisherInterface $publisher What `publish.php` publishes by.
     * @param array{id: int|string, info?: mixed}|null $presence Who this client is to others: a member of each topic that it
     *                                   watches, as sse_presence() tells; it is told who comes and goes. Null: nobody.
     * @param string|Closure|null $metrics Who may read the hub's figures by `metrics.php`: whoever sends this token, of 16 bytes
     *                                   at least, as `Authorization: Bearer`, or `function (): bool` decides. Null: nobody.
     * @param Policy|null   $dashboard   What it may do at the administrators' {@see Dashboard}: `view`, `disconnect`, `events`.
     *                                   Null: nothing.
     *
     * @throws LogicException The token of `$metrics` is too short.
     */
    public function __construct(
        public readonly Policy $watch,
        public readonly ?Policy $publish = null,
        ?callable $prepare = null,
        ?callable $csrf = null,
        array $origins = [],
        #[SensitiveParameter] public readonly ?string $grantKey = null,
        public readonly ?string $user = null,
        public readonly bool $grantInUrl = false,
        public readonly int $reauthorize = 60,
        public readonly ?string $env = null,
        public readonly PublisherInterface $publisher = new ExtensionPublisher(),
        public readonly ?array $presence = null,
        #[SensitiveParameter] public readonly string|Closure|null $metrics = null,
        public readonly ?Policy $dashboard = null,
    ) {
        if (is_string($metrics) && strlen($metrics) < self::SHORTEST_TOKEN) {
            throw new LogicException(
                'the token of $metrics has ' . strlen($metrics) . ' bytes, and needs ' . self::SHORTEST_TOKEN . ' at least: make '
                . 'one by bin2hex(random_bytes(16)), or leave it out',
            );
        }
        $this->origins = new Origins($origins);
        $this->prepare = $prepare === null ? null : $prepare(...);
        /** @var Closure(string): bool|null $csrf */
        $csrf = $csrf === null ? null : $csrf(...);
        $this->csrf = $csrf;
    }

    /**
     * The site's own: what the file returns that the server names as `SSE_SITE` (nginx: `fastcgi_param`, Apache:
     * `SetEnv`), or `sse-site.php` in the folder above the document root. What the file outputs is not sent.
     *
     * @throws LogicException There is no such file, or it returns something else.
     */
    public static function load(): self
    {
        $file = $_SERVER['SSE_SITE'] ?? null;
        if (!is_string($file) || $file === '') {
            $file = dirname((string) ($_SERVER['DOCUMENT_ROOT'] ?? '')) . '/sse-site.php';
        }
        if (!is_file($file)) {
            throw new LogicException(
                "there is no $file, which says who may watch and publish what; see Sse\\Endpoint\\Site",
            );
        }

        return SiteFile::load($file, self::class);
    }
}
