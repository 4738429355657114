<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use InvalidArgumentException;
use Sse\PublisherInterface;
use Sse\Topic;

/** One PHP-CRUD-API's settings, and how it is to be live. */
final class Bridge
{
    /** What the environment can replace, see Config::getProperty(), and this class changes. */
    private const REPLACEABLE = ['middlewares', 'controllers', 'customControllers', 'cacheType'];

    /** @var array<string, mixed> what the site has, without our own */
    private readonly array $site;

    /** @param array<string, mixed> $settings */
    public function __construct(
        array $settings,
        public readonly bool $record,
        private readonly string $prefix,
        public readonly int $reauthorize,
        private readonly bool $handlersHideRows,
        public readonly PublisherInterface $publisher,
    ) {
        if (strlen($prefix) > 20 || !Topic::isTopic($prefix)) {
            throw new InvalidArgumentException(
                "prefix: '$prefix' is not a topic of 1 to 20 bytes, such as 'shop.records'",
            );
        }
        $this->site = self::withEnvironment($settings);
    }

    /** @return array<string, mixed> for the API that answers this request */
    public function settings(): array
    {
        if (!self::asksForStream()) {
            return $this->full();
        }

        // It has this one route then, and no middleware: who may watch what, an API of its own is asked for each time,
        // with all that the site has set. So nothing is asked for twice, and no rule meets a path that it doesn't know.
        $plain = array_filter(
            $this->site,
            static fn (string|int $key): bool => !str_contains((string) $key, '.'),
            ARRAY_FILTER_USE_KEY,
        );

        // No cache: with a cachePath, the numbers of an API's routes are kept there for all that use it.
        return [
            'middlewares' => '',
            'controllers' => '',
            'customControllers' => Controller::class,
            'cacheType' => 'NoCache',
        ] + $plain;
    }

    /** @return array<string, mixed> all that the site has, and our controller */
    public function full(): array
    {
        $own = $this->site['customControllers'] ?? '';
        $controllers = is_string($own) && $own !== '' ? $own . ',' . Controller::class : Controller::class;

        return ['customControllers' => $controllers] + $this->site;
    }

    /** Whether handlers of the site may keep rows from a client, by what nobody but they can know. */
    public function hasHiddenRules(): bool
    {
        $handlers = preg_grep('/^(customization\.afterHandler|reconnect\..*Handler)$/D', array_keys($this->site)) ?: [];

        return $this->handlersHideRows && $handlers !== [];
    }

    /** The topic of a record, or the pattern of all in a table. */
    public function topic(string $table, ?string $id = null): string
    {
        return $id === null ? Topic::of($this->prefix, $table) . '.*' : Topic::of($this->prefix, $table, $id);
    }

    /** Marks a value, so that two can be compared but not read by whoever may watch the topic. */
    public function mark(string $value): string
    {
        $secret = array_filter($this->site, static fn (mixed $value): bool => is_scalar($value));

        return substr(hash_hmac('sha256', $value, serialize($secret)), 0, 20);
    }

    /**
     * Takes over what PHP_CRUD_API_… in the environment would replace. PHP forgets the change with the request.
     *
     * @param array<string, mixed> $settings
     *
     * @return array<string, mixed>
     */
    private static function withEnvironment(array $settings): array
    {
        foreach (self::REPLACEABLE as $key) {
            $name = 'PHP_CRUD_API_' . strtoupper((string) preg_replace('/[A-Z]/', '_$0', $key));
            $value = getenv($name, true);
            if (is_string($value) && $value !== '') {
                $settings[$key] = $value;
                putenv($name);
            }
        }

        return $settings;
    }

    private static function asksForStream(): bool
    {
        $path = explode('?', (string) ($_SERVER['REQUEST_URI'] ?? ''))[0];

        return in_array($_SERVER['REQUEST_METHOD'] ?? '', ['GET', 'HEAD'], true) && preg_match(Live::PATH, $path) === 1;
    }
}
