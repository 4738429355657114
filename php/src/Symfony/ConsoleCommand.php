<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Console\Command as SseCommand;
use Sse\Console\Definition;
use Sse\Console\Input;
use Sse\Console\Output;
use Sse\Console\UsageError;
use SseException;
use Symfony\Component\Console\Command\Command;
use Symfony\Component\Console\Input\InputArgument;
use Symfony\Component\Console\Input\InputInterface;
use Symfony\Component\Console\Input\InputOption;
use Symfony\Component\Console\Output\OutputInterface;

/** A command of `sse` as one of Symfony's console: `bin/console sse:streams --user=bob`. */
final class ConsoleCommand extends Command
{
    public function __construct(private readonly SseCommand $command)
    {
        parent::__construct('sse:' . $command->definition()->name);
    }

    protected function configure(): void
    {
        $definition = $this->command->definition();
        $this->setDescription(ucfirst($definition->summary))->setHelp($definition->help);
        foreach ($definition->arguments as $argument) {
            $mode = Definition::isRequired($argument) ? InputArgument::REQUIRED : InputArgument::OPTIONAL;
            $list = Definition::isList($argument) ? InputArgument::IS_ARRAY : 0;
            $this->addArgument(Definition::argumentName($argument), $mode | $list);
        }
        foreach ($definition->options + ['json' => Definition::COMMON['json']] as $name => $meaning) {
            $parts = explode('=', $name, 2);
            $mode = isset($parts[1]) ? InputOption::VALUE_REQUIRED : InputOption::VALUE_NONE;
            $this->addOption($parts[0], null, $mode, $meaning);
        }
    }

    protected function execute(InputInterface $input, OutputInterface $output): int
    {
        $arguments = $options = [];
        foreach ($this->command->definition()->arguments as $argument) {
            $name = Definition::argumentName($argument);
            $given = $input->getArgument($name);
            $arguments[$name] = array_values(array_filter(is_array($given) ? $given : [$given], is_string(...)));
        }
        foreach ($input->getOptions() as $name => $value) {
            if ($value === true || is_string($value)) {
                $options[(string) $name] = $value;
            }
        }
        $write = static function (string $text) use ($output): void {
            $output->write($text, false, OutputInterface::OUTPUT_RAW);
        };
        try {
            return $this->command->run(
                new Input($arguments, $options),
                new Output($write, isset($options['json']), $output->isDecorated()),
            );
        } catch (UsageError | SseException $problem) {
            $output->writeln(Output::safe($problem->getMessage()), OutputInterface::OUTPUT_RAW);

            return self::FAILURE;
        }
    }
}
