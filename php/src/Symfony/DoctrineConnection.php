<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Doctrine\DBAL\Driver\Connection;
use Doctrine\DBAL\Driver\Middleware\AbstractConnectionMiddleware;
use RuntimeException;
use Sse\Publisher\TransactionPublisher;
use Throwable;

/**
 * @internal A connection that tells the publisher of its transactions.
 *
 * The methods return nothing, as in DBAL 4; the booleans of DBAL 3 become exceptions.
 */
final class DoctrineConnection extends AbstractConnectionMiddleware
{
    public function __construct(Connection $connection, private readonly TransactionPublisher $publisher)
    {
        parent::__construct($connection);
    }

    /**
     * @mago-expect analysis:docblock-type-mismatch,missing-return-statement - DBAL 3 has a boolean.
     */
    public function beginTransaction(): void
    {
        self::check(parent::beginTransaction(), 'begun');
        $this->publisher->begin($this);
    }

    /**
     * @mago-expect analysis:docblock-type-mismatch,missing-return-statement - DBAL 3 has a boolean.
     */
    public function commit(): void
    {
        try {
            self::check(parent::commit(), 'committed');
        } catch (Throwable $problem) {
            // Newer versions of DBAL don't roll back after that: what is published later would be held back for ever.
            $this->publisher->rollBack($this);

            throw $problem;
        }
        $this->publisher->commit($this);
    }

    /**
     * @mago-expect analysis:docblock-type-mismatch,missing-return-statement - DBAL 3 has a boolean.
     */
    public function rollBack(): void
    {
        // Dropped first: whatever becomes of the rollback, nothing was committed.
        $this->publisher->rollBack($this);
        self::check(parent::rollBack(), 'rolled back');
    }

    private static function check(mixed $result, string $what): void
    {
        if ($result === false) {
            throw new RuntimeException("the transaction could not be $what");
        }
    }
}
