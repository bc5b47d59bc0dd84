// Package train trains noise-conditional score networks: configuration and presets, the loop, and the run folder with
// its metrics, previews and checkpoints, from which a run goes on bit for bit as if it had never stopped.
//
// A run in four steps:
//
//	p, err := train.FindPreset("toy")                      // settings as somebody asks for them,
//	splits, err := p.Config.Resolve(ctx, events, epsilon)  // completed by what the data says;
//	folder, lock, err := train.CreateFolder("runs", "", "toy")
//	result, err := train.Run(ctx, &p.Config, splits, train.Options{Backend: b, Folder: folder, Events: events})
//
// What happens on the way is reported as [Event] values: the package prints nothing and knows no terminal. It does not
// know package sample either: whoever wants previews gives [Hooks].
//
// Begin reading at [Run] in run.go, which is the loop of the papers, then [Config] in config.go. Package dataset,
// below this one, opens the data.
package train
