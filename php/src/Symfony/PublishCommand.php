<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Event;
use Sse\PublisherInterface;
use Symfony\Component\Console\Attribute\AsCommand;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** `bin/console sse:publish news hello`: publishes an event, and prints its id. */
#[AsCommand('sse:publish', 'Publishes an event')]
final class PublishCommand extends Command
{
    public function __construct(private readonly PublisherInterface $publisher)
    {
        parent::__construct();
    }

    protected function configure(): void
    {
        $this
            ->addArgument('topic', InputArgument::REQUIRED, 'A topic, without wildcards')
            ->addArgument('data', InputArgument::OPTIONAL, 'The data, as it is', '')
            ->addOption('type', null, InputOption::VALUE_REQUIRED, 'The event\'s type');
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $text = static fn (mixed $value): string => is_scalar($value) ? (string) $value : '';
        $type = $text($input->getOption('type'));
        $event = new Event(
            $text($input->getArgument('topic')),
            $text($input->getArgument('data')),
            $type === '' ? null : $type,
        );
        $output->writeln($this->publisher->publish($event));

        return self::SUCCESS;
    }
}
